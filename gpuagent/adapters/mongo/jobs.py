"""Jobs to documents and back, and the states that documents name."""

from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from gpuagent.adapters.mongo.files import (
    collecting_fields,
    collecting_from,
    files_fields,
    files_from,
    underway_fields,
    underway_from,
)
from gpuagent.adapters.mongo.payments import access_from, authorization_from, settlement_from
from gpuagent.adapters.mongo.quotes import envelope_fields, quote_document, quote_from
from gpuagent.adapters.mongo.values import Document, date, money, seconds
from gpuagent.core.indices import of_index
from gpuagent.core.model import (
    Approval,
    Authorized,
    Cause,
    Job,
    Quote,
    Reserved,
    Run,
    Settled,
    Voided,
)
from gpuagent.core.orders import job_params, params_sha256
from gpuagent.core.resume import resumed_from
from gpuagent.core.work import Collecting, Completed, Failed, Fault, JobEnding, Owed, Underway, Work
from gpuagent.errors import RunDamaged

HELD = ["reserved", "authorized"]
"""States of a job whose amount is held."""


def job_document(run: Run, job: Job) -> Document:
    work = None if isinstance(job, Reserved) else job.work
    document: Document = {
        "_id": ObjectId(job.job_id),
        "runId": ObjectId(run.run_id),
        "ordinal": run.jobs.index(job),
        "payer": run.payer,
        "userId": run.user_id,
        "tags": list(run.tags),
        "vendorId": job.quote.vendor_id,
        "state": type(job).__name__.lower(),
        "status": _job_status(job),
        "expectedCost": money(job.quote.amount),
        "actualCost": money(job.quote.amount if isinstance(job, Settled) else 0),
        "jobParams": job_params(job.quote),
        "paramsHash": params_sha256(job.quote),
        "quote": quote_document(job.quote),
        "createdAt": date(job.reserved_at),
        **({"index": job.quote.index} if run.count > 1 else {}),
        **({"hedges": ObjectId(job.quote.hedges)} if job.quote.hedges else {}),
        **_resumed_fields(run, job.quote),
        **envelope_fields(job.quote.envelope),
        **_work_fields(work),
    }
    if isinstance(job, Reserved):
        delivery_from = date(job.delivery_from) if job.delivery_from else None
        document |= {"delivered": job.delivered, "postponed": job.postponed, "deliveryFrom": delivery_from}
    match job:
        case Reserved(approval=Approval() as approval):  # stays in the document, as evidence
            document |= {"approval": _approval_document(approval)}
        case Settled():
            document |= {"settledAt": date(job.settlement.at), "postponed": job.postponed, **files_fields(job)}
        case Authorized() if work:
            document |= {"postponed": job.postponed, **files_fields(job)}
        case Voided():
            document |= {"errorMessage": job.reason, "cause": job.cause.value}
            if job.work:
                reason = job.work.reason if isinstance(job.work, Failed) else ""
                document |= {"unpaidWork": True, "workReason": reason, **files_fields(job)}
    return document


def _resumed_fields(run: Run, quote: Quote) -> Document:
    """The job and the checkpoint that an order goes on from, and the hours that are so not bought again."""
    sha256 = resumed_from(quote)
    for job in of_index(run, quote.index).jobs:
        if sha256 and isinstance(job, Settled) and job.checkpoint and job.checkpoint.sha256 == sha256:
            origin = {"jobId": ObjectId(job.job_id), "sha256": sha256, "fraction": job.checkpoint.fraction}
            return {"resumedFrom": origin, "hoursSaved": float(run.max_hours - quote.max_hours)}
    return {}


def _approval_document(approval: Approval) -> Document:
    return {"askedAt": date(approval.asked_at), "expiresAt": date(approval.expires_at), "by": approval.by}


def _job_status(job: Job) -> str:
    if isinstance(job, Reserved):
        return "quoted"
    match job.work:
        case Owed():
            return "submitted"
        case Underway() | Collecting():
            return "running"
        case Completed():
            return "completed"
    return "quoted" if isinstance(job, Authorized) and job.work is None else "failed"


def _work_fields(work: Work | None) -> Document:
    match work:
        case Owed(since, silent_since, asked_at, reply):
            return {
                "owedSince": date(since),
                "silentSince": _since(silent_since),
                "askedAt": _since(asked_at),
                "reply": reply,
            }
        case Underway(vendor_job_id, started_at, progress, logs_seen, silent_since, reply):
            return {
                "vendorJobId": vendor_job_id,
                "startedAt": date(started_at),
                "progress": progress,
                "logsSeen": logs_seen,
                "silentSince": _since(silent_since),
                "reply": reply,
                **underway_fields(work),
            }
        case Collecting():
            return {"vendorJobId": work.vendor_job_id, "startedAt": date(work.started_at), **collecting_fields(work)}
        case Completed(vendor_job_id, at, final_metrics, artifact_url, exit_code):
            return {
                "vendorJobId": vendor_job_id,
                "progress": 1.0,
                "completedAt": date(at),
                "finalMetrics": dict(final_metrics),
                "artifactUrl": artifact_url,
                "exitCode": exit_code,
            }
        case Failed(reason, at, vendor_job_id, ending, readmitted_by, fault, exit_code):
            identity = {"vendorJobId": vendor_job_id} if vendor_job_id else {}
            verdict = {"fault": fault.value, "exitCode": exit_code}
            end = {"completedAt": date(at), "ending": ending.value, "readmittedBy": readmitted_by, **verdict}
            return {"errorMessage": reason, **end, **identity}
    return {}


def _since(at: float | None) -> datetime | None:
    return None if at is None else date(at)


def _time(document: Document, field: str) -> float | None:
    at = document.get(field)  # older records lack it
    return seconds(at) if at else None


def _ending(document: Document) -> JobEnding:
    if "ending" in document:
        return JobEnding(document["ending"])
    # Older records say it in words alone.
    return JobEnding.DISPUTED if document["errorMessage"].startswith("disputed:") else JobEnding.REPORTED


def damaged(run_id: ObjectId, what: str) -> RunDamaged:
    return RunDamaged(
        f"run {run_id} cannot be read: {what}. `gpuagent books --all` holds its records against the chain"
    )


def job_from(document: Document, payment: Document | None) -> Job:
    job_id, quote, at = str(document["_id"]), quote_from(document), seconds(document["createdAt"])
    if document["state"] == "reserved":
        approval, delivered = _approval_from(document.get("approval")), document.get("delivered", False)
        delivery_from = _time(document, "deliveryFrom") or 0.0
        return Reserved(job_id, quote, at, approval, delivered, document.get("postponed", ""), delivery_from)
    if document["state"] == "voided":
        authorization = authorization_from(payment) if payment else None
        header = payment["header"] if payment else ""
        cause, reason = Cause(document["cause"]), document["errorMessage"]
        if not document.get("unpaidWork"):  # an older record has none
            return Voided(job_id, quote, at, reason, authorization, header, cause)
        work, (files, checkpoint) = _work_from(document), files_from(document)
        if not isinstance(work, Completed | Failed):
            raise damaged(document["runId"], f"its job {document['_id']} is void, and its work goes on")
        work = replace(work, reason=document["workReason"]) if isinstance(work, Failed) else work
        return Voided(job_id, quote, at, reason, authorization, header, cause, work, files, checkpoint)
    if payment is None:
        raise damaged(document["runId"], f"its job {document['_id']} is {document['state']}, and its payment is gone")
    authorization, header = authorization_from(payment), payment["header"]
    if document["state"] == "authorized":
        answers = (payment["lastReply"], payment["namedJob"], payment["cancellation"])
        job = Authorized(job_id, quote, at, authorization, header, *answers, access=access_from(payment))
        if document["status"] == "quoted":
            return job
        files, checkpoint = files_from(document)
        postponed = document.get("postponed", "")
        return replace(job, work=_work_from(document), files=files, checkpoint=checkpoint, postponed=postponed)
    settlement = settlement_from(payment)
    files, checkpoint = files_from(document)
    work, access = _work_from(document), access_from(payment)
    rest = (files, checkpoint, access, document.get("postponed", ""))
    return Settled(job_id, quote, at, authorization, header, settlement, work, *rest)


def _approval_from(document: Document | None) -> Approval | None:
    if document is None:
        return None
    return Approval(seconds(document["askedAt"]), seconds(document["expiresAt"]), document["by"])


def _work_from(document: Document) -> Work:
    match document["status"]:
        case "submitted":
            silent_since = _time(document, "silentSince")
            asked_at = _time(document, "askedAt") or silent_since
            return Owed(seconds(document["owedSince"]), silent_since, asked_at, document.get("reply", ""))
        case "running" if document.get("collecting"):
            return collecting_from(document)
        case "running":
            return Underway(
                document["vendorJobId"],
                seconds(document["startedAt"]),
                document["progress"],
                document["logsSeen"],
                _time(document, "silentSince"),
                document.get("reply", ""),
                **underway_from(document),
            )
        case "completed":
            at, metrics = seconds(document["completedAt"]), document["finalMetrics"]
            exit_code = document.get("exitCode")
            return Completed(document["vendorJobId"], at, metrics, document["artifactUrl"], exit_code)
    at = seconds(document["completedAt"])
    vendor_job_id, readmitted_by = document.get("vendorJobId", ""), document.get("readmittedBy", "")
    verdict = Fault(document.get("fault", Fault.VENDOR)), document.get("exitCode")
    return Failed(document["errorMessage"], at, vendor_job_id, _ending(document), readmitted_by, *verdict)
