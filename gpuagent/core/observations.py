"""Observations: what an event leaves for users and analysts to read. Pure."""

from collections.abc import Mapping

from gpuagent.core.events import (
    NEWS,
    CheckpointKept,
    CheckpointLost,
    CollectingBegan,
    CollectingHindered,
    Event,
    FilesKept,
    HedgeDeclined,
    HedgePostponed,
    InputsDelivered,
    JobAnswered,
    JobClaimed,
    JobDropped,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
    PaymentAdopted,
    PaymentAuthorized,
    PaymentSettled,
    PaymentUnresolved,
    PaymentUnwanted,
    PaymentVoided,
    PlanAborted,
    PlannerCharged,
    PlanPostponed,
    PurchaseApproved,
    RunCancelled,
    StepPostponed,
    StepTakenUp,
    VendorChosen,
    VendorReadmitted,
)
from gpuagent.core.indices import completed, progress
from gpuagent.core.model import (
    NO_ENVELOPE,
    Authorized,
    Job,
    Observation,
    ObservationType,
    Ordered,
    Reserved,
    Run,
    Voided,
)
from gpuagent.core.money import show_usd
from gpuagent.core.run_state import find_job
from gpuagent.core.text import counted
from gpuagent.core.transitions import apply, is_noted
from gpuagent.core.units import show_size
from gpuagent.core.work import Completed, Failed, FileKind, JobEnding, JobFile, Underway

METRICS_FROM = 1_000_000
METRICS_MAX = 5_000
"""Metrics that are stored of one job; those that follow still count for the last value of each."""


def observations_of(run: Run, event: Event) -> tuple[Observation, ...]:
    """The observations that belong in the same transaction as the event. run: as it was before."""
    match event:
        case VendorChosen(job_id, quote, decision, _, data, approval):
            which = f", job {quote.index} of {run.count}" if run.count > 1 else ""
            text = f"reserved {show_usd(quote.amount)} for {quote.vendor_id}{which}"
            text += f", a hedge of the late job {quote.hedges}" if quote.hedges else ""
            if approval:
                text += ": waits for approval"
            return (
                Observation(ObservationType.REASONING, decision.reason, job_id, data),
                _payment(text, job_id, "reserved", amount=str(quote.amount), vendorId=quote.vendor_id),
            )
        case PlanPostponed(_, decision, data):
            return (Observation(ObservationType.REASONING, decision.reason, data=data),)
        case PlanAborted(reason, data):
            return (Observation(ObservationType.REASONING, reason, data=data),)
        case HedgePostponed(_, _, decision, data):
            return (Observation(ObservationType.REASONING, decision.reason, data=data),)
        case HedgeDeclined(_, reason, data):
            return (Observation(ObservationType.REASONING, reason, data=data),)
        case PlannerCharged(reason, data, _, uncharged):
            text = f"came to nothing, another tick was faster: {reason}"
            return (
                Observation(ObservationType.REASONING, text, data={**data, "overtaken": True, "uncharged": uncharged}),
            )
        case RunCancelled(by, why):
            end = Observation(
                ObservationType.ERROR, f"{by} cancelled the run: {why}", data={"kind": "cancelled", "by": by}
            )
            return (end, *_unneeded(run, event))
        case VendorReadmitted(vendor_id, by, why):
            return (
                _payment(f"{by} allows to pay {vendor_id} again: {why}", "", "readmitted", by=by, vendorId=vendor_id),
            )
        case PaymentAdopted():
            return (_adopted(run, event), *_unneeded(run, event))
    job = find_job(run, event.job_id)
    observations = _of_job(job, event)
    if not isinstance(event, JobFinished):
        return observations
    return (*observations, *_counted(run, job, event), *_unneeded(run, event))


def _counted(run: Run, job: Job, event: JobFinished) -> tuple[Observation, ...]:
    """How many of several jobs are done by now."""
    if run.count == 1 or not isinstance(event.outcome, Completed):
        return ()
    after = apply(run, event)
    return (
        _news(f"job {job.quote.index}: {progress(after)}", event.job_id, "counted", completed=len(completed(after))),
    )


def _unneeded(run: Run, event: RunCancelled | JobFinished | PaymentAdopted) -> tuple[Observation, ...]:
    """Observations of the reservations that are dropped because the event ends the run."""
    return tuple(
        observation
        for job, after in zip(run.jobs, apply(run, event).jobs, strict=False)  # one that is adopted may be new
        if isinstance(job, Reserved) and isinstance(after, Voided)
        for observation in _of_job(job, JobDropped(job.job_id, after.reason, after.cause))
    )


def _of_job(job: Job, event: Event) -> tuple[Observation, ...]:
    if isinstance(event, NEWS) and not isinstance(event, JobProgressed) and not is_noted(job, event):
        return ()
    return _of_payment(job, event) or _of_work(job, event) or _of_files(job, event)


def _of_payment(job: Job, event: Event) -> tuple[Observation, ...]:
    vendor, amount = job.quote.vendor_id, show_usd(job.quote.amount)
    match event:
        case JobDropped(job_id, reason, cause):
            text = f"{vendor} was not paid, {amount} released: {reason}"
            return (
                Observation(
                    ObservationType.ERROR, text, job_id, {"kind": "dropped", "vendorId": vendor, "cause": cause.value}
                ),
            )
        case PurchaseApproved(job_id, by):
            return (_payment(f"{by} approved {amount} for {vendor}", job_id, "approved", by=by),)
        case PaymentAuthorized(job_id, authorization):
            text = f"authorized {amount} to {vendor}"
            if event.declined:
                text += f"; of its offers were not taken: {'; '.join(event.declined)}"
            return (_payment(text, job_id, "authorized", nonce=authorization.nonce),)
        case PaymentUnresolved(job_id, reply):
            text = f"sent to {vendor}, not settled yet; the vendor says: {reply}"
            return (_payment(text, job_id, "unresolved"),)
        case PaymentUnwanted(job_id, transaction, problem):
            result = f"cancellation sent: {transaction}" if transaction else f"not cancelled on chain: {problem}"
            return (_payment(f"{amount} to {vendor} not wanted any more; {result}", job_id, "unwanted"),)
        case PaymentSettled(job_id, settlement):
            text = f"{amount} to {vendor} settled on chain"
            return (_payment(text, job_id, "settled", transaction=settlement.transaction),)
        case PaymentVoided(job_id, reason):
            text = f"{vendor} never took its payment ({reason}); {amount} released"
            if isinstance(job, Authorized) and isinstance(job.work, Completed):
                text += ", though it completed the job"
            return (_payment(text, job_id, "voided"),)
    return ()


def _of_work(job: Job, event: Event) -> tuple[Observation, ...]:
    vendor = job.quote.vendor_id
    match event:
        case JobClaimed(job_id, vendor_job_id):
            data = {"kind": "claimed", "vendorJobId": vendor_job_id}
            text = f"{vendor} named its job {vendor_job_id}"
            if isinstance(job, Authorized):
                text += f"; {show_usd(job.quote.amount)} stay held, and it takes them once the work is done"
            return (Observation(ObservationType.METRIC, text, job_id, data),)
        case JobProgressed(job_id, progress, new_logs, reply):
            text = f"{progress:.0%} done" + (f"; {vendor} says: {reply}" if reply else "")
            metric = Observation(ObservationType.METRIC, text, job_id, {"progress": progress})
            note = (metric,) if is_noted(job, event) else ()
            return (*note, *_logs(job, new_logs), *_metrics(job, event.metrics))
        case JobWentSilent(job_id, _, problem):
            text = f"{vendor} does not answer about the job: {problem}"
            return (Observation(ObservationType.ERROR, text, job_id, {"kind": "silent", "vendorId": vendor}),)
        case JobAnswered(job_id, _, reply):
            text = f"{vendor} answers, without news of the job: {reply}"
            return (Observation(ObservationType.ERROR, text, job_id, {"kind": "answered", "vendorId": vendor}),)
        case JobStopped(job_id, reply):
            return (_news(f"{vendor} was told that the job is not needed any more: {reply}", job_id, "stopped"),)
        case JobFinished(job_id, outcome, new_logs):
            files = (_file_kept(vendor, job_id, file) for file in event.files)
            return (*_logs(job, new_logs), *_metrics(job, event.metrics), *files, _finished(vendor, job_id, outcome))
    return ()


def _of_files(job: Job, event: Event) -> tuple[Observation, ...]:
    vendor = job.quote.vendor_id
    match event:
        case InputsDelivered(job_id):
            text = f"{vendor} has all the files that the job reads"
            if job.quote.envelope != NO_ENVELOPE:
                text = f"{vendor} is to fetch the files that the job reads, by signed URLs in its order"
            return (_news(text, job_id, "delivered"),)
        case CollectingBegan(job_id, work):
            files = work.files or (work.offer.files if work.offer else ())
            size = sum(file.bytes for file in files)
            text = f"the work at {vendor} is over; {show_size(size)} in {counted(len(files), 'file')} to be fetched"
            news = _news(text, job_id, "collecting", files=len(files), bytes=size)
            return (*_logs(job, event.new_logs), *_metrics(job, event.metrics), news)
        case FilesKept(job_id, files):
            return tuple(_file_kept(vendor, job_id, file) for file in files if file.kind is not FileKind.CHECKPOINT)
        case CheckpointKept(job_id, checkpoint):
            reached = "an unknown part" if checkpoint.fraction is None else f"{checkpoint.fraction:.0%}"
            text = f"a checkpoint of {vendor} is kept, which reaches {reached} of the work"
            count, sha256, fraction = len(checkpoint.files), checkpoint.sha256, checkpoint.fraction
            return (_news(text, job_id, "checkpoint", sha256=sha256, fraction=fraction, files=count),)
        case CheckpointLost(job_id, sha256, problem):
            text = f"a checkpoint of {vendor} is not kept: {problem}"
            data = {"kind": "checkpoint lost", "vendorId": vendor, "sha256": sha256}
            return (Observation(ObservationType.ERROR, text, job_id, data),)
        case CollectingHindered() | StepPostponed() if not isinstance(job, Voided) and job.postponed:
            return ()  # as long as the file store does not work: a vendor that errs now and then adds nothing
        case StepPostponed(job_id, problem):
            text = f"the files of {vendor} wait for the agent's own file store, and no vendor is to blame: {problem}"
            return (Observation(ObservationType.ERROR, text, job_id, {"kind": "postponed", "vendorId": vendor}),)
        case StepTakenUp(job_id):
            return (_news(f"the file store works again: the files of {vendor} go on", job_id, "taken up"),)
        case CollectingHindered(job_id, _, problem):
            text = f"no file of {vendor} comes: {problem}"
            return (Observation(ObservationType.ERROR, text, job_id, {"kind": "hindered", "vendorId": vendor}),)
    return ()


def _adopted(run: Run, event: PaymentAdopted) -> Observation:
    terms, how = event.authorization, "wrote off" if event.written_off else "adopted"
    before = [f"{job.quote.amount} to {job.quote.pay_to}" for job in run.jobs if job.job_id == event.job_id]
    text = f"{event.by} {how} {show_usd(terms.amount)} to {event.quote.vendor_id}, paid on chain: {event.why}"
    kind = "written off" if event.written_off else "adopted"
    return _payment(
        text,
        event.job_id,
        kind,
        by=event.by,
        amount=str(terms.amount),
        payee=terms.payee,
        nonce=terms.nonce,
        transaction=event.settlement.transaction,
        heldBefore="".join(before),
    )


def _payment(text: str, job_id: str, kind: str, **data: str) -> Observation:
    return Observation(ObservationType.PAYMENT, text, job_id, {"kind": kind, **data})


def _logs(job: Job, lines: tuple[str, ...]) -> list[Observation]:
    first = job.work.logs_seen if isinstance(job, Ordered) and isinstance(job.work, Underway) else 0
    return [
        Observation(ObservationType.LOG, line, job.job_id, position=position)
        for position, line in enumerate(lines, first)
    ]


def _metrics(job: Job, metrics: tuple[Mapping[str, object], ...]) -> list[Observation]:
    """Metrics as they come, up to METRICS_MAX of a job. Their positions lie beyond those of all log lines."""
    first = job.work.metrics_seen if isinstance(job, Ordered) and isinstance(job.work, Underway) else 0
    return [
        Observation(
            ObservationType.METRIC,
            ", ".join(f"{name} {value}" for name, value in metric.items()),
            job.job_id,
            {"kind": "metric", "metric": dict(metric)},
            METRICS_FROM + position,
        )
        for position, metric in enumerate(metrics[: max(METRICS_MAX - first, 0)], first)
    ]


def _file_kept(vendor: str, job_id: str, file: JobFile) -> Observation:
    text = f"{file.path} of {vendor} is kept and proven: {show_size(file.bytes)}, SHA-256 {file.sha256[:12]}…"
    return _news(text, job_id, "file", path=file.path, bytes=file.bytes, sha256=file.sha256, of=file.kind.value)


def _news(text: str, job_id: str, kind: str, **data: object) -> Observation:
    return Observation(ObservationType.METRIC, text, job_id, {"kind": kind, **data})


def _finished(vendor: str, job_id: str, outcome: Completed | Failed) -> Observation:
    if isinstance(outcome, Failed) and outcome.ending is JobEnding.SUPERSEDED:
        return _news(f"the job at {vendor} is {outcome.reason}", job_id, "superseded", vendorId=vendor)
    if isinstance(outcome, Failed):
        data: Mapping[str, object] = {
            "kind": "failed",
            "vendorId": vendor,
            "ending": outcome.ending.value,
            "fault": outcome.fault.value,
        }
        return Observation(ObservationType.ERROR, f"{vendor} failed the job: {outcome.reason}", job_id, data)
    data = {"kind": "completed", "finalMetrics": dict(outcome.final_metrics)}
    return Observation(ObservationType.METRIC, f"{vendor} completed the job", job_id, data)
