"""Documents of the original system (agentic-gpu-renter): shown beside ours, and never counted as money.

Its amounts are floats; what it calls a completed payment may be a `local_tx_` id that it made up itself, and nothing
in the database says which is which. So none of its payments counts: they are `unproven`, whatever they claim.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bson import Decimal128

from gpuagent.adapters.mongo.values import Document, money
from gpuagent.errors import RunNotOurs

OURS: Mapping[str, Any] = {"version": {"$exists": True}}
"""Matches the runs that this system wrote."""
ORIGINAL: Mapping[str, Any] = {"network": None, "version": {"$exists": False}}
"""network, which they lack too, is for the index: else all runs would be looked through."""
CLAIMS: Mapping[str, Any] = {"payer": None, "status": "completed", "nonce": {"$exists": False}}
"""Matches its payments that it calls completed; payer is for the index."""
UNPROVEN = "unproven"
PHASES = {"completed": "SUCCESS", "failed": "FAILED"}
NOTE = "made by the original system: nothing of it is proven on chain"


def is_original(run: Mapping[str, Any]) -> bool:
    return "version" not in run


def check_ours(run: Mapping[str, Any]) -> None:
    """Raises RunNotOurs for a run of the original system, which can be looked at and not driven."""
    if is_original(run):
        raise RunNotOurs(f"run {run['_id']} was made by the original system: it can be looked at, not driven")


def shown_run(run: Mapping[str, Any], payments: Sequence[Mapping[str, Any]] = ()) -> Document:
    """A run of either system with the fields that ours have. One of the original has nothing settled or held."""
    if not is_original(run):
        return dict(run)
    status = str(run.get("status", ""))
    return {
        "gpuType": "",
        "planner": "",
        "tags": [],
        "reason": NOTE,
        **run,
        "goal": str(run.get("goal", "")),
        "userId": str(run.get("userId", "")),
        "phase": PHASES.get(status, "WAITING"),
        "origin": "original",
        "budgetTotal": exact(run.get("budgetTotal")),
        "budgetRemaining": exact(run.get("budgetRemaining")),
        "settled": money(0),
        "held": money(0),
        "plannerCost": money(0),
        "unproven": exact(
            sum(_float(payment.get("amount")) for payment in payments if payment.get("status") == "completed")
        ),
    }


def shown_documents(documents: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Document]]:
    """The documents of one run by collection, each as it is shown."""
    payments = documents["payments"]
    return {
        "runs": [shown_run(run, payments) for run in documents["runs"]],
        "jobs": [shown_job(job) for job in documents["jobs"]],
        "payments": [shown_payment(payment) for payment in payments],
        "observations": [shown_observation(observation) for observation in documents["observations"]],
    }


def shown_job(job: Mapping[str, Any]) -> Document:
    if "state" in job:
        return dict(job)
    costs = {name: exact(job.get(name)) for name in ("expectedCost", "actualCost")}
    return {"vendorId": "", "status": "", **job, "state": UNPROVEN, **costs}


def shown_payment(payment: Mapping[str, Any]) -> Document:
    """status: unproven; claimedStatus: what the original says of it."""
    if "nonce" in payment:
        return dict(payment)
    return {
        **payment,
        "amount": exact(payment.get("amount")),
        "status": UNPROVEN,
        "claimedStatus": str(payment.get("status", "")),
    }


def shown_observation(observation: Mapping[str, Any]) -> Document:
    return {"data": {}, "tick": 0, "content": "", "type": "", **observation}


def exact(value: object) -> Decimal128:
    """A float amount in whole units of the token's last decimal; 0 where it is no amount."""
    if isinstance(value, Decimal128):
        return value
    return Decimal128(Decimal(repr(_float(value))).quantize(Decimal("0.000001")))


def _float(value: object) -> float:
    if isinstance(value, Decimal128):
        return float(value.to_decimal())
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and 0 <= value < 1e12 else 0.0  # type: ignore[arg-type, operator]
