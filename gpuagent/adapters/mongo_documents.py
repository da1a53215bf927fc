"""Run to documents and back. Money is Decimal128 USD, times are dates, ids are ObjectIds; camelCase throughout."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Decimal128, ObjectId

from gpuagent import budget
from gpuagent.model import (
    Authorization,
    Authorized,
    Completed,
    Failed,
    Job,
    Observation,
    Owed,
    Quote,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Settlement,
    Underway,
    Vendor,
    Voided,
    Work,
)
from gpuagent.money import parse_usd, usd
from gpuagent.transitions import phase

Document = dict[str, Any]


def money(amount: int) -> Decimal128:
    return Decimal128(usd(amount))


def amount(value: Decimal128) -> int:
    return parse_usd(value.to_decimal())


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: datetime) -> float:
    return value.timestamp()


# Runs


def run_fields(run: Run, at: float) -> Document:
    """What a save may change in the run's document."""
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
        "updatedAt": date(at),
        "version": run.version,
    }


def run_document(run: Run) -> Document:
    return {
        "_id": ObjectId(run.run_id),
        "userId": run.user_id,
        "goal": run.goal,
        "budgetTotal": money(run.budget),
        "gpuType": run.gpu_type,
        "maxHours": float(run.max_hours),
        "planner": run.planner,
        "payer": run.payer,
        "vendorIds": list(run.vendor_ids),
        "tags": list(run.tags),
        "jobsOpenMax": run.jobs_open_max,
        "jobsMax": run.jobs_max,
        "createdAt": date(run.created_at),
        **run_fields(run, run.created_at),
    }


def run_from(document: Document, jobs: Iterable[Document], payments: Iterable[Document]) -> Run:
    paid = {payment["jobId"]: payment for payment in payments}
    return Run(
        run_id=str(document["_id"]),
        user_id=document["userId"],
        goal=document["goal"],
        budget=amount(document["budgetTotal"]),
        gpu_type=document["gpuType"],
        max_hours=Decimal(str(document["maxHours"])),
        planner=document["planner"],
        payer=document["payer"],
        created_at=seconds(document["createdAt"]),
        vendor_ids=tuple(document["vendorIds"]),
        tags=tuple(document["tags"]),
        jobs_open_max=document["jobsOpenMax"],
        jobs_max=document["jobsMax"],
        jobs=tuple(job_from(job, paid.get(job["_id"])) for job in sorted(jobs, key=lambda job: int(job["ordinal"]))),
        status=RunStatus(document["status"]),
        reason=document["reason"],
        planner_cost=amount(document["plannerCost"]),
        waits=document["waits"],
        wait_until=seconds(document["waitUntil"]) if document["waitUntil"] else 0,
        version=document["version"],
    )


# Jobs


def job_document(run: Run, job: Job) -> Document:
    work = job.work if isinstance(job, Settled) else None
    document: Document = {
        "_id": ObjectId(job.job_id),
        "runId": ObjectId(run.run_id),
        "ordinal": run.jobs.index(job),
        "vendorId": job.quote.vendor_id,
        "state": type(job).__name__.lower(),
        "status": _job_status(job),
        "expectedCost": money(job.quote.amount),
        "actualCost": money(job.quote.amount if isinstance(job, Settled) else 0),
        "jobParams": {"gpuType": job.quote.gpu_type, "maxHours": float(job.quote.max_hours)},
        "quote": _quote_document(job.quote),
        "createdAt": date(job.reserved_at),
        **_work_fields(work),
    }
    if isinstance(job, Voided):
        document |= {"errorMessage": job.reason}
    return document


def _job_status(job: Job) -> str:
    match job:
        case Settled(work=Owed()):
            return "submitted"
        case Settled(work=Underway()):
            return "running"
        case Settled(work=Completed()):
            return "completed"
        case Settled() | Voided():
            return "failed"
    return "quoted"


def _work_fields(work: Work | None) -> Document:
    match work:
        case Owed(since):
            return {"owedSince": date(since)}
        case Underway(vendor_job_id, started_at, progress, logs_seen, silent_since):
            return {
                "vendorJobId": vendor_job_id,
                "startedAt": date(started_at),
                "progress": progress,
                "logsSeen": logs_seen,
                "silentSince": date(silent_since) if silent_since is not None else None,
            }
        case Completed(vendor_job_id, at, final_metrics, artifact_url):
            return {
                "vendorJobId": vendor_job_id,
                "progress": 1.0,
                "completedAt": date(at),
                "finalMetrics": dict(final_metrics),
                "artifactUrl": artifact_url,
            }
        case Failed(reason, at, vendor_job_id):
            named = {"vendorJobId": vendor_job_id} if vendor_job_id else {}
            return {"errorMessage": reason, "completedAt": date(at), **named}
    return {}


def job_from(document: Document, payment: Document | None) -> Job:
    job_id, quote, at = str(document["_id"]), _quote_from(document), seconds(document["createdAt"])
    if document["state"] == "reserved":
        return Reserved(job_id, quote, at)
    if document["state"] == "voided":
        authorization = _authorization_from(payment) if payment else None
        header = payment["header"] if payment else ""
        return Voided(job_id, quote, at, document["errorMessage"], authorization, header)
    if payment is None:
        raise ValueError(f"job {job_id} is {document['state']} but has no payment")
    authorization, header = _authorization_from(payment), payment["header"]
    if document["state"] == "authorized":
        return Authorized(job_id, quote, at, authorization, header, payment.get("lastReply", ""))
    settlement = Settlement(payment["x402TxId"], payment["blockNumber"], int(seconds(payment["settledAt"])))
    return Settled(job_id, quote, at, authorization, header, settlement, _work_from(document))


def _work_from(document: Document) -> Work:
    match document["status"]:
        case "submitted":
            return Owed(seconds(document["owedSince"]))
        case "running":
            return Underway(
                document["vendorJobId"],
                seconds(document["startedAt"]),
                document["progress"],
                document["logsSeen"],
                seconds(document["silentSince"]) if document["silentSince"] else None,
            )
        case "completed":
            at, metrics = seconds(document["completedAt"]), document["finalMetrics"]
            return Completed(document["vendorJobId"], at, metrics, document["artifactUrl"])
    at = seconds(document["completedAt"])
    return Failed(document["errorMessage"], at, document.get("vendorJobId", ""))


def _quote_document(quote: Quote) -> Document:
    return {
        "vendorJobTemplateId": quote.template_id,
        "priceEstimate": money(quote.amount),
        "payTo": quote.pay_to,
        "network": quote.network,
        "asset": quote.asset,
        "expiresAt": date(quote.expires_at),
        "etaSeconds": quote.eta_s,
    }


def _quote_from(job: Document) -> Quote:
    quote = job["quote"]
    return Quote(
        vendor_id=job["vendorId"],
        template_id=quote["vendorJobTemplateId"],
        amount=amount(quote["priceEstimate"]),
        pay_to=quote["payTo"],
        network=quote["network"],
        asset=quote["asset"],
        expires_at=seconds(quote["expiresAt"]),
        eta_s=quote["etaSeconds"],
        gpu_type=job["jobParams"]["gpuType"],
        max_hours=Decimal(str(job["jobParams"]["maxHours"])),
    )


# Payments

PAYMENT_STATUS = {Authorized: "pending", Settled: "completed", Voided: "failed"}


def payment_document(run: Run, job: Job) -> Document | None:
    """The payment of a job, or None where nothing was ever signed."""
    if isinstance(job, Reserved) or job.authorization is None:
        return None
    terms = job.authorization
    document: Document = {
        "runId": ObjectId(run.run_id),
        "jobId": ObjectId(job.job_id),
        "attempt": 0,
        "vendorId": job.quote.vendor_id,
        "amount": money(terms.amount),
        "currency": "USDC",
        "status": PAYMENT_STATUS[type(job)],
        "payer": terms.payer,
        "payee": terms.payee,
        "asset": terms.asset,
        "network": terms.network,
        "nonce": terms.nonce,
        "validBefore": terms.valid_before,
        "fromBlock": terms.from_block,
        "header": job.header,
    }
    match job:
        case Authorized(last_reply=reply):
            document |= {"lastReply": reply}
        case Settled(settlement=settlement):
            document |= {
                "x402TxId": settlement.transaction,
                "blockNumber": settlement.block_number,
                "settledAt": date(settlement.at),
            }
    return document


def _authorization_from(payment: Document) -> Authorization:
    return Authorization(
        payer=payment["payer"],
        payee=payment["payee"],
        amount=amount(payment["amount"]),
        network=payment["network"],
        asset=payment["asset"],
        nonce=payment["nonce"],
        valid_before=payment["validBefore"],
        from_block=payment["fromBlock"],
    )


# Observations and vendors


def observation_document(run: Run, seen: Observation, tick: int, at: float) -> Document:
    document: Document = {
        "runId": ObjectId(run.run_id),
        "type": seen.type,
        "content": seen.content,
        "data": dict(seen.data),
        "tick": tick,
        "timestamp": date(at),
    }
    if seen.job_id:
        document["jobId"] = ObjectId(seen.job_id)
    if seen.position is not None:
        document["position"] = seen.position
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
    )
