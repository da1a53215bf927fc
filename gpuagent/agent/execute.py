"""The work at a vendor: claim the job, poll it, stop it, or give it up.

Giving up comes late, as the next vendor is then paid for the same work. A vendor that answers is not silent, even if it
only says queued, asks to be called later, or refuses our token: it has the paid hours and the operator's patience.
Silence ends sooner: no answer, a server error, or an answer that it knows no such job, counted from the last answer. No
vendor is given up by a clock that the others contradict.
"""

from gpuagent.agent.credit import note_credit
from gpuagent.agent.guard import lapsed, waited_from
from gpuagent.agent.judge import VendorNews, end_of_work, offered_checkpoint
from gpuagent.agent.postpone import postponed
from gpuagent.agent.vendors import find_vendor, vendor_job
from gpuagent.core.events import (
    CheckpointLost,
    Event,
    JobAnswered,
    JobClaimed,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
)
from gpuagent.core.hedging import winner
from gpuagent.core.model import Ordered, Run, Settled, Submitted
from gpuagent.core.orders import CREDIT
from gpuagent.core.pace import Pace
from gpuagent.core.ports import Ports
from gpuagent.core.run_state import find_job
from gpuagent.core.text import clean
from gpuagent.core.work import (
    CheckpointOffer,
    Collecting,
    Failed,
    Fault,
    JobEnding,
    JobReport,
    JobStatus,
    Owed,
    Underway,
)
from gpuagent.errors import (
    FileStoreError,
    IllegalTransition,
    VendorBusy,
    VendorError,
    VendorTokenMissing,
    VendorUnauthorized,
)

LOG_LINES_MAX = 5_000
"""Log lines that are stored per job, at most."""
REPLY_MAX = 200


def claim(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Ask a paid vendor for its job id with the same signed bytes, as its first reply was lost. Never pays again."""
    job = find_job(run, job_id)
    if not isinstance(job, Settled) or not isinstance(job.work, Owed):
        raise IllegalTransition(f"{job} is not owed a job id")
    answers, order = True, Submitted()
    try:
        order = ports.vendor_api.submit(find_vendor(job.quote.vendor_id, ports), job)
        reply = "it names no job"
    except VendorTokenMissing:
        raise  # the vendor was not called, so it owes no answer
    except FileStoreError as error:
        return postponed(job, error)  # nor was it called here: an input of the order could not be read
    except (VendorBusy, VendorUnauthorized) as error:
        reply = str(error)
    except VendorError as error:
        answers, reply = False, str(error)
    now, reply = ports.clock.now(), clean(reply, REPLY_MAX)
    if order.vendor_job_id:
        return JobClaimed(job_id, order.vendor_job_id, waited_from(ports), order.access)
    work = job.work
    if why := lapsed(lambda at: _unnamed(work, answers, at, ports.pace), ports):
        return JobFinished(job_id, Failed(f"disputed: {why} ({reply})", now, ending=JobEnding.DISPUTED))
    return _unheard(job_id, work, answers, reply, waited_from(ports))


def poll(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Poll the vendor: its news of the job, or the end of our patience with it; None for no news."""
    job = find_job(run, job_id)
    if not isinstance(job, Ordered) or not isinstance(job.work, Underway):
        raise IllegalTransition(f"{job} is not underway")
    work, report, answers, reply = job.work, None, True, ""
    try:
        vendor = find_vendor(job.quote.vendor_id, ports)
        report = ports.vendor_api.status(vendor, vendor_job(job, work), work.cursor)
    except VendorTokenMissing:
        raise  # the vendor was not called, so it is not silent
    except (VendorBusy, VendorUnauthorized) as error:
        reply = clean(str(error), REPLY_MAX)
    except VendorError as error:
        answers, reply = False, clean(str(error), REPLY_MAX)
    now = ports.clock.now()
    if report and report.credit:
        note_credit(run, job, report.credit, ports.store, now)
    news = VendorNews(run, job, work, report, _new_logs(report, work.logs_seen), now) if report else None
    if news and (ending := end_of_work(news, ports)):
        return ending
    if why := lapsed(lambda at: _overdue(job, work, report, answers, at, ports.pace), ports):
        reason = f"disputed: {why} ({reply})" if reply else f"disputed: {why}"
        outcome = Failed(reason, now, work.vendor_job_id, JobEnding.DISPUTED)
        return JobFinished(job_id, outcome, news.logs if news else ())
    if news is None:
        return _unheard(job_id, work, answers, reply, waited_from(ports))
    offer, problem = offered_checkpoint(news, ports)
    if problem and news.report.checkpoint:
        return CheckpointLost(job_id, news.report.checkpoint.sha256, problem, now)
    return _progressed(news, offer)


def stop(run: Run, job_id: str, ports: Ports) -> Event:
    """Tell the vendor, once, that the job is not needed any more. Its answer is recorded, and changes nothing."""
    job = find_job(run, job_id)
    if not isinstance(job, Ordered) or not isinstance(job.work, Underway):
        raise IllegalTransition(f"{job} is not underway")
    try:
        vendor = find_vendor(job.quote.vendor_id, ports)
        reply = ports.vendor_api.cancel(vendor, vendor_job(job, job.work))
    except VendorError as error:
        reply = str(error)
    if CREDIT in job.quote.accepts:  # also where it was stopped before, by a tick that was killed then
        _hear_credit(run, job, job.work, ports)
    return JobStopped(job_id, clean(reply, REPLY_MAX))


def supersede(run: Run, job_id: str, ports: Ports) -> Event:
    """End a job whose hedge, or hedged job, completed first. Its files stay where they are."""
    job = find_job(run, job_id)
    first = winner(run, job)
    if first is None or not isinstance(job, Ordered):
        raise IllegalTransition(f"{job} is not superseded")
    reason = f"superseded: {first.quote.vendor_id} completed the job first"
    vendor_job_id = job.work.vendor_job_id if isinstance(job.work, Underway | Collecting) else ""
    failed = Failed(reason, ports.clock.now(), vendor_job_id, JobEnding.SUPERSEDED, fault=Fault.NONE)
    return JobFinished(job_id, failed)


def _hear_credit(run: Run, job: Ordered, work: Underway, ports: Ports) -> None:
    """Book the credit that the vendor grants for the stopped job, if it answers with one."""
    try:
        vendor = find_vendor(job.quote.vendor_id, ports)
        report = ports.vendor_api.status(vendor, vendor_job(job, work), work.cursor)
    except VendorError:
        return
    if report.credit:
        note_credit(run, job, report.credit, ports.store, ports.clock.now())


def _unnamed(work: Owed, answers: bool, now: float, pace: Pace) -> str:
    """Why a paid vendor that has named no job is given up, "" while it is not.

    Each wait begins with the first request, not with the payment: the agent may have been down in between.
    """
    if not answers and work.silent_since is not None and now - work.silent_since > pace.silence_s:
        return "paid, but no job came of it"
    if work.asked_at is not None and now - work.asked_at > max(pace.patience_s, pace.silence_s):
        return f"paid, but no job was named in {now - work.asked_at:.0f} s"
    return ""


def _overdue(job: Ordered, work: Underway, report: JobReport | None, answers: bool, now: float, pace: Pace) -> str:
    """Why a vendor whose job does not end is given up, "" while it is not."""
    if not answers and work.silent_since is not None and now - work.silent_since > pace.silence_s:
        return f"the vendor has been silent for {now - work.silent_since:.0f} s"
    limit_s = pace.job_max_s(float(job.quote.max_hours))
    if now - work.started_at > limit_s:
        state = (report.word or report.status.value) if report else "not over"
        return f"still {state} after {limit_s:.0f} s, of {job.quote.max_hours} hours paid"
    return ""


def _progressed(news: VendorNews, offer: CheckpointOffer | None) -> JobProgressed | None:
    """The event of a job that is not over; None where its report says nothing that is not known."""
    work, report = news.work, news.report
    reply = report.word or ("" if report.status is JobStatus.RUNNING else report.status.value)
    is_news = (
        news.logs
        or report.metrics
        or offer
        or report.progress > work.progress
        or reply != work.reply
        or work.silent_since is not None
    )
    if not is_news:
        return None
    return JobProgressed(news.job.job_id, report.progress, news.logs, reply, report.cursor, report.metrics, offer)


def _unheard(job_id: str, work: Owed | Underway, answers: bool, reply: str, at: float) -> Event | None:
    """The first answer without news of the job, or the first silence; None for those that follow."""
    if not answers:
        return JobWentSilent(job_id, at, reply) if work.silent_since is None else None
    # Not compared by its text, which may hold a time or a request id.
    return JobAnswered(job_id, at, reply) if work.silent_since is not None or not work.reply else None


def _new_logs(report: JobReport, stored: int) -> tuple[str, ...]:
    """The lines not stored yet: all lines where the vendor sends news by cursor, else those beyond `stored`."""
    if report.cursor:
        return report.logs[: max(LOG_LINES_MAX - stored, 0)]
    return report.logs[stored:LOG_LINES_MAX]
