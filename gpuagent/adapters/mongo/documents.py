"""Runs, observations and vendors to documents and back.

Money is Decimal128 USD, times are dates, ids are ObjectIds; fields are camelCase.
"""

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bson import ObjectId

from gpuagent.adapters.mongo.jobs import damaged, job_from
from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.core import budget
from gpuagent.core.model import (
    NO_HEDGING,
    OWN_PROTOCOL,
    Hedging,
    Ledger,
    Observation,
    Run,
    RunStatus,
    Settles,
    Vendor,
)
from gpuagent.core.run_state import phase


def run_fields(run: Run, at: float) -> Document:
    """The fields of the run's document that a save may change."""
    return {
        "status": run.status.value,
        "phase": phase(run).value,
        "reason": run.reason,
        "budgetRemaining": money(budget.available(run)),
        "settled": money(budget.settled(run)),
        "held": money(budget.held(run)),
        "plannerCost": money(run.planner_cost),
        "waits": run.waits,
        "waitUntil": date(run.wait_until) if run.wait_until else None,
        "askFirst": run.ask_first,
        "updatedAt": date(at),
        "version": run.version,
        **_hedging_fields(run.hedging),
    }


def _hedging_fields(hedging: Hedging) -> Document:
    """None for a run without hedges."""
    if hedging == NO_HEDGING:
        return {}
    return {
        "hedging": {
            "afterSeconds": hedging.after_s,
            "declined": [ObjectId(job_id) for job_id in hedging.declined],
            "waits": hedging.waits,
            "waitUntil": date(hedging.wait_until) if hedging.wait_until else None,
        }
    }


def _hedging_from(document: Document | None) -> Hedging:
    """Of a run without hedges, and of an older record, there is none."""
    if document is None:
        return NO_HEDGING
    wait_until = seconds(document["waitUntil"]) if document["waitUntil"] else 0
    return Hedging(document["afterSeconds"], tuple(map(str, document["declined"])), document["waits"], wait_until)


def run_document(run: Run) -> Document:
    return {
        "_id": ObjectId(run.run_id),
        "userId": run.user_id,
        "goal": run.goal,
        "budgetTotal": money(run.budget),
        "gpuType": run.gpu_type,
        "maxHours": float(run.max_hours),
        "planner": run.planner,
        "plannerArms": [{"planner": name, "weight": weight} for name, weight in run.planner_arms],
        "payer": run.payer,
        "network": run.network,
        "vendorIds": list(run.vendor_ids),
        "tags": list(run.tags),
        "jobsOpenMax": run.jobs_open_max,
        "jobsMax": run.jobs_max,
        **({"count": run.count} if run.count > 1 else {}),
        **_workload_fields(run.workload),
        "createdAt": date(run.created_at),
        **run_fields(run, run.created_at),
    }


def _workload_fields(workload: str) -> Document:
    """What is to run, and the hash of just these bytes; neither for a run without a job file."""
    return {"workload": workload, "workloadHash": hashlib.sha256(workload.encode()).hexdigest()} if workload else {}


def ledger_from(document: Document) -> Ledger:
    fields = ("settled", "held", "plannerCost", "budgetRemaining")
    return Ledger(*(amount(document[field]) for field in fields))


def run_from(document: Document, jobs: Iterable[Document], payments: Iterable[Document]) -> Run:
    """Raises RunDamaged for a field that is missing or that no program of ours has written so."""
    try:
        return _run_from(document, jobs, payments)
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(document["_id"], f"it has a field that is missing or wrong ({error!r})") from error


def _run_from(document: Document, jobs: Iterable[Document], payments: Iterable[Document]) -> Run:
    paid = {payment["jobId"]: payment for payment in payments}
    return Run(
        run_id=str(document["_id"]),
        user_id=document["userId"],
        goal=document["goal"],
        budget=amount(document["budgetTotal"]),
        gpu_type=document["gpuType"],
        max_hours=Decimal(str(document["maxHours"])),
        planner=document["planner"],
        planner_arms=tuple((arm["planner"], arm["weight"]) for arm in document.get("plannerArms", ())),
        payer=document["payer"],
        network=document["network"],
        workload=document.get("workload", ""),  # a run without a job file, and an older record, has none
        created_at=seconds(document["createdAt"]),
        vendor_ids=tuple(document["vendorIds"]),
        tags=tuple(document["tags"]),
        jobs_open_max=document["jobsOpenMax"],
        jobs_max=document["jobsMax"],
        count=document.get("count", 1),  # a run with one job, and an older record, has none
        hedging=_hedging_from(document.get("hedging")),
        jobs=tuple(job_from(job, paid.get(job["_id"])) for job in sorted(jobs, key=lambda job: int(job["ordinal"]))),
        status=RunStatus(document["status"]),
        reason=document["reason"],
        planner_cost=amount(document["plannerCost"]),
        waits=document["waits"],
        wait_until=seconds(document["waitUntil"]) if document["waitUntil"] else 0,
        ask_first=document.get("askFirst", ""),  # an older record has none
        version=document["version"],
    )


# Observations and vendors


def observation_document(run: Run, observation: Observation, tick: int, at: float) -> Document:
    document: Document = {
        "runId": ObjectId(run.run_id),
        "type": str(observation.type),
        "content": observation.content,
        "data": dict(observation.data),
        "tick": tick,
        "timestamp": date(at),
    }
    if observation.job_id:
        document["jobId"] = ObjectId(observation.job_id)
    if observation.position is not None:
        document["position"] = observation.position
    return document


def vendor_document(vendor: Vendor) -> Document:
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": vendor.endpoint,
        "basePricePerHour": money(vendor.base_price_per_hour),
        "reliabilityScore": vendor.reliability,
        "supportedGpuTypes": list(vendor.gpu_types),
        "payTo": vendor.pay_to,
        "network": vendor.network,
        "asset": vendor.asset,
        "secretEnv": vendor.secret_env,
        "enabled": vendor.enabled,
        "trusted": vendor.trusted,
        "protocol": vendor.protocol,
        "x402Version": vendor.x402_version,
        "settles": vendor.settles.value,
        "maxAuthorizationSeconds": vendor.max_authorization_s,
        "proven": vendor.proven,
        "refundAddress": vendor.refund_address,
    }


def vendor_from(document: Mapping[str, Any]) -> Vendor:
    return Vendor(
        vendor_id=document["vendorId"],
        name=document["name"],
        endpoint=document["endpoint"],
        pay_to=document["payTo"],
        network=document["network"],
        asset=document["asset"],
        secret_env=document["secretEnv"],
        base_price_per_hour=amount(document["basePricePerHour"]),
        reliability=document["reliabilityScore"],
        gpu_types=tuple(document["supportedGpuTypes"]),
        enabled=document["enabled"],
        # An older record has none of these.
        trusted=document.get("trusted", False),
        protocol=document.get("protocol", OWN_PROTOCOL),
        x402_version=document.get("x402Version", 2),
        settles=Settles(document.get("settles", Settles.BEFORE)),
        max_authorization_s=document.get("maxAuthorizationSeconds", 0),
        proven=document.get("proven", True),
        refund_address=document.get("refundAddress", ""),
    )
