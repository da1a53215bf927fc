"""The work that was paid for: claim the job, poll it, give it up."""

from collections.abc import Sequence

from gpuagent.agent.market import find_vendor
from gpuagent.core.events import Event, JobClaimed, JobFinished, JobProgressed, JobWentSilent
from gpuagent.core.model import Completed, Failed, JobReport, JobStatus, Owed, Run, Settled, Underway
from gpuagent.core.ports import Ports
from gpuagent.core.transitions import find_job
from gpuagent.errors import IllegalTransition, VendorError, VendorTokenMissing

LOG_LINES_MAX = 5_000
"""Lines stored per job; a vendor that writes more is heard no further."""


def claim(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Paid, but the reply with the vendor's job id was lost: the same bytes ask for it again. Never pays anew."""
    job = find_job(run, job_id)
    if not isinstance(job, Settled) or not isinstance(job.work, Owed):
        raise IllegalTransition(f"{job} is not owed a job id")
    try:
        vendor_job_id = ports.vendor_api.submit(find_vendor(job.quote.vendor_id, ports), job)
        problem = "it names no job"
    except VendorTokenMissing:
        raise  # the vendor was not asked, so it owes no answer
    except VendorError as error:
        vendor_job_id, problem = "", str(error)
    now = ports.clock.now()
    if vendor_job_id:
        return JobClaimed(job_id, vendor_job_id, now)
    if job.work.silent_since is None:  # only now asked: since when it is paid counts the time that we were down
        return JobWentSilent(job_id, now, problem)
    if now - job.work.silent_since > ports.pace.silence_s:
        return JobFinished(job_id, Failed(f"disputed: paid, but no job came of it ({problem})", now))
    return None


def poll(run: Run, job_id: str, ports: Ports) -> Event | None:
    """The vendor's news of the job, or the end of our patience with it."""
    job = find_job(run, job_id)
    if not isinstance(job, Settled) or not isinstance(job.work, Underway):
        raise IllegalTransition(f"{job} is not underway")
    now = ports.clock.now()
    try:
        report = ports.vendor_api.status(find_vendor(job.quote.vendor_id, ports), job.work.vendor_job_id)
    except VendorTokenMissing:
        raise  # the vendor was not asked, so it is not silent
    except VendorError as error:
        return _silent(job_id, job.work, str(error), now, ports)
    logs = _new_logs(report.logs, job.work.logs_seen)
    limit_s = float(job.quote.max_hours) * 3600 * ports.pace.overrun + ports.pace.silence_s
    match report.status:
        case JobStatus.COMPLETED:
            return JobFinished(job_id, _completed(job.work, report, now), logs)
        case JobStatus.FAILED:
            reason = report.error_message or "the vendor gives no reason"
            return JobFinished(job_id, Failed(reason, now, job.work.vendor_job_id), logs)
    if now - job.work.started_at > limit_s:
        reason = f"still running after {limit_s:.0f} s, of {job.quote.max_hours} hours paid"
        return JobFinished(job_id, Failed(reason, now, job.work.vendor_job_id), logs)
    if not logs and report.progress <= job.work.progress and job.work.silent_since is None:
        return None
    return JobProgressed(job_id, report.progress, logs)


def _completed(work: Underway, report: JobReport, now: float) -> Completed:
    return Completed(work.vendor_job_id, now, report.final_metrics, report.artifact_url)


def _silent(job_id: str, work: Underway, problem: str, now: float, ports: Ports) -> Event | None:
    if work.silent_since is None:
        return JobWentSilent(job_id, now, problem)
    if now - work.silent_since > ports.pace.silence_s:
        silent_s = now - work.silent_since
        reason = f"the vendor has been silent for {silent_s:.0f} s ({problem})"
        return JobFinished(job_id, Failed(reason, now, work.vendor_job_id))
    return None


def _new_logs(logs: Sequence[str], stored: int) -> tuple[str, ...]:
    """Lines not stored yet. A vendor's list only grows; one that shrinks brings nothing new."""
    return tuple(logs[stored:LOG_LINES_MAX])
