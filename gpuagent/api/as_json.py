"""Documents and runs as JSON values for REST clients: amounts are plain numbers of USD there."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, ObjectId

from gpuagent.core.model import (
    SECRET_FIELDS,
    Job,
    Ordered,
    Phase,
    Run,
    RunStatus,
    Vendor,
)
from gpuagent.core.money import usd
from gpuagent.core.policy import Halt
from gpuagent.core.run_state import phase
from gpuagent.core.work import Completed, Failed


def usd_number(amount: int) -> int | float:
    """USD of atomic units: 5 for 5 USD, 1.4 for 1.40. At most 15 digits, which JSON's numbers keep."""
    value = usd(amount)
    return int(value) if value == value.to_integral_value() else float(value)


def json_value(value: Any) -> Any:
    """Documents as JSON values. What is signed is left out; a number that JSON does not know becomes null."""
    match value:
        case Decimal128():
            number = value.to_decimal()
            return int(number) if number == number.to_integral_value() else float(number)
        case ObjectId():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items() if key not in SECRET_FIELDS}
        case list() | tuple():
            return [json_value(item) for item in value]
    return value


def vendor_json(vendor: Vendor, halt: Halt | None = None) -> dict[str, Any]:
    """A vendor, without the name of the variable that holds its token. halt: what stops payments to it."""
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": vendor.endpoint,
        "payTo": vendor.pay_to,
        "network": vendor.network,
        "asset": vendor.asset,
        "basePricePerHour": usd_number(vendor.base_price_per_hour),
        "reliabilityScore": vendor.reliability,
        "supportedGpuTypes": list(vendor.gpu_types),
        "enabled": vendor.enabled,
        "trusted": vendor.trusted,
        "protocol": vendor.protocol,
        "halt": {"by": halt.by, "why": halt.why, "at": _time(halt.at)} if halt else None,
    }


def _time(at: float) -> str | None:
    return json_value(datetime.fromtimestamp(at, UTC)) if at else None  # an older record has none


def action_json(decision: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A recorded decision in the original system's shape: {action, vendorId, maxHours, reason}."""
    if not decision or not decision.get("action"):
        return None
    action = {"action": decision["action"], "reason": decision["reason"]}
    if decision["action"] == "start_job":
        action |= {"vendorId": decision["vendorId"], "maxHours": float(decision["maxHours"])}
    return action


def tick_message(before: Run, after: Run) -> str:
    """What a tick did, in the original system's words."""
    if before.status is not RunStatus.RUNNING:
        return f"Run already {before.status}"
    jobs_before = {job.job_id: job for job in before.jobs}
    news = [line for job in after.jobs for line in _job_news(jobs_before.get(job.job_id), job)]
    if after.status is RunStatus.FAILED:
        news.append("Run aborted")
    waiting = "Waiting for approval" if phase(after) is Phase.APPROVAL else "Waiting"
    return "; ".join(dict.fromkeys(news)) or waiting  # two jobs may have the same news


def _job_news(before: Job | None, after: Job) -> list[str]:
    if not isinstance(after, Ordered) or after.work is None:
        return []
    work = before.work if isinstance(before, Ordered) else None
    start = ["Job started"] if work is None else []
    was_over = isinstance(work, Completed | Failed)
    match after.work:
        case Completed() if not was_over:
            return [*start, "Job completed"]
        case Failed() if not was_over:
            return [*start, "Job failed"]
    return start
