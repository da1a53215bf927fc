"""Documents and runs as JSON values for the REST edge: amounts are plain numbers of USD there."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, ObjectId

from gpuagent.core.model import SECRET_FIELDS, Completed, Failed, Job, Phase, Run, RunStatus, Settled, Vendor
from gpuagent.core.money import usd
from gpuagent.core.transitions import phase


def number(amount: int) -> int | float:
    """USD of atomic units: 5 for 5 USD, 1.4 for 1.40. At most 15 digits, which JSON's numbers keep."""
    value = usd(amount)
    return int(value) if value == value.to_integral_value() else float(value)


def rest(value: Any) -> Any:
    """Documents as JSON values. What is signed is left out; a number that JSON does not know becomes null."""
    match value:
        case Decimal128():
            plain = value.to_decimal()
            return int(plain) if plain == plain.to_integral_value() else float(plain)
        case ObjectId():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): rest(item) for key, item in value.items() if key not in SECRET_FIELDS}
        case list() | tuple():
            return [rest(item) for item in value]
    return value


def vendor(recorded: Vendor) -> dict[str, Any]:
    """Without the name of the variable that holds its token."""
    return {
        "vendorId": recorded.vendor_id,
        "name": recorded.name,
        "endpoint": recorded.endpoint,
        "payTo": recorded.pay_to,
        "network": recorded.network,
        "asset": recorded.asset,
        "basePricePerHour": number(recorded.base_price_per_hour),
        "reliabilityScore": recorded.reliability,
        "supportedGpuTypes": list(recorded.gpu_types),
        "enabled": recorded.enabled,
    }


def action(decision: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The original's shape: {action, vendorId, maxHours, reason}."""
    if not decision or not decision.get("action"):
        return None
    shown = {"action": decision["action"], "reason": decision["reason"]}
    if decision["action"] == "start_job":
        shown |= {"vendorId": decision["vendorId"], "maxHours": float(decision["maxHours"])}
    return shown


def message(before: Run, after: Run) -> str:
    """What a tick did, in the original's words."""
    if before.status is not RunStatus.RUNNING:
        return f"Run already {before.status}"
    known = {job.job_id: job for job in before.jobs}
    said: list[str] = []
    for job in after.jobs:
        said += [words for words in _news(known.get(job.job_id), job) if words not in said]
    if after.status is RunStatus.FAILED:
        said.append("Run aborted")
    waiting = "Waiting for approval" if phase(after) is Phase.APPROVAL else "Waiting"
    return "; ".join(said) or waiting


def _news(before: Job | None, after: Job) -> list[str]:
    if not isinstance(after, Settled):
        return []
    begun = ["Job started"] if not isinstance(before, Settled) else []
    was_over = isinstance(before, Settled) and isinstance(before.work, Completed | Failed)
    match after.work:
        case Completed() if not was_over:
            return [*begun, "Job completed"]
        case Failed() if not was_over:
            return [*begun, "Job failed"]
    return begun
