"""The status of a run and of each of its jobs as sentences for users, the same in terminals and notebooks. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from gpuagent.core import budget
from gpuagent.core.indices import is_open, progress
from gpuagent.core.model import Authorized, Job, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.pace import Pace
from gpuagent.core.text import counted
from gpuagent.core.work import Collecting, Completed, Failed, JobEnding, Owed, Underway, Work

NEWS_TYPES = ("job_log", "metric")
"""Observations that a vendor's answer about a job leaves."""
POSTPONED = "waits for the agent's own file store"
REASON_MAX = 300
"""Characters of a reason, which may be a vendor's text."""


@dataclass(frozen=True, slots=True)
class StatusText:
    """A run's status in sentences. run: on the whole run. jobs: on each job, by its id."""

    run: str = ""
    jobs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Moment:
    """The reader's present. zone: None for the machine's own."""

    now: float
    zone: tzinfo | None
    pace: Pace

    def show(self, at: float) -> str:
        """The time of day, with its date where that is not today."""
        moment, today = datetime.fromtimestamp(at, self.zone), datetime.fromtimestamp(self.now, self.zone)
        return moment.strftime("%H:%M:%S" if moment.date() == today.date() else "%Y-%m-%d %H:%M")

    def deadline(self, at: float) -> str:
        """A time until which a user may act, with its zone: the machine that shows it may be in another."""
        return f"{self.show(at)} {datetime.fromtimestamp(at, UTC).astimezone(self.zone):%Z}"

    def next_poll(self, since: float) -> str:
        if not self.pace.poll_s:  # polled without a pause
            return self.show(self.now)
        polls = math.floor(max(0.0, self.now - since) / self.pace.poll_s) + 1
        return self.show(since + polls * self.pace.poll_s)


def status_text(
    run: Run,
    now: float,
    pace: Pace | None = None,
    zone: tzinfo | None = UTC,
    heard: Mapping[str, float] | None = None,
) -> StatusText:
    """The run's status at `now` (Unix seconds), for a reader in this zone. heard: as heard_at() returns it."""
    moment, heard = _Moment(now, zone, pace or Pace()), heard or {}
    jobs = {job.job_id: _job_text(job, run.status is RunStatus.RUNNING, moment, heard) for job in run.jobs}
    return StatusText(_run_text(run, jobs, moment), jobs)


def heard_at(observations: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """When each job's vendor last had news of it, by job id. observations: documents, in any order."""
    times: dict[str, float] = {}
    for observation in observations:
        if "jobId" in observation and observation["type"] in NEWS_TYPES:
            job_id, at = str(observation["jobId"]), observation["timestamp"].timestamp()
            times[job_id] = max(at, times.get(job_id, at))
    return times


def planner_label(name: str) -> str:
    """A planner's name for users: the deterministic one, whose mode is `stub`, is called rules."""
    return "rules" if name == "stub" else name


def _run_text(run: Run, jobs: Mapping[str, str], moment: _Moment) -> str:
    if run.status is not RunStatus.RUNNING:
        held = budget.held(run)
        rest = f"; {show_usd(held)} stay held until the chain has decided" if held else ""
        return f"{run.status}: {run.reason}{rest}"
    if run.count > 1 and (at_work := sum(map(is_open, run.jobs))):
        return f"{progress(run)}, {at_work} {'is' if at_work == 1 else 'are'} open"
    open_jobs = [f"{job.quote.vendor_id}: {jobs[job.job_id]}" for job in run.jobs if is_open(job)]
    if open_jobs:
        return "; ".join(open_jobs)
    if moment.now < run.wait_until:
        return f"waiting until {moment.show(run.wait_until)}, then the planner decides again"
    counted = f"{progress(run)}; " if run.count > 1 else ""
    return f"{counted}planning: the next tick asks the vendors for quotes and the planner for a choice"


def _job_text(job: Job, running: bool, moment: _Moment, heard: Mapping[str, float]) -> str:
    match job:
        case Reserved():
            return _reserved_text(job, moment)
        case Authorized():
            return _authorized_text(job, running, moment, heard)
        case Settled(work=Owed() | Collecting(hindered_since=None) as work, postponed=problem) if problem and running:
            return f"{_work_text(work, running, moment, heard.get(job.job_id))}; {POSTPONED} ({problem})"
        case Settled(work=work):
            return _work_text(work, running, moment, heard.get(job.job_id))
        case Voided(reason=reason, authorization=None):
            return f"not paid, nothing was signed: {reason[:REASON_MAX]}"
        case Voided(work=Completed(at=at)):
            return f"completed at {moment.show(at)}, and the vendor never took its payment"
        case Voided(reason=reason):
            return f"not paid, the authorization is void: {reason[:REASON_MAX]}"


def _reserved_text(job: Reserved, moment: _Moment) -> str:
    if job.approval and not job.approval.by:
        ends_at = moment.deadline(job.approval.expires_at)
        if moment.now < job.approval.expires_at:
            return f"reserved, waits for your approval until {ends_at}"
        return f"reserved, the request for approval ended at {ends_at}; the next tick releases it"
    approval = f", approved by {job.approval.by}" if job.approval else ""
    ends_at = moment.show(job.quote.expires_at)
    if moment.now < job.quote.expires_at:
        waits = f"{POSTPONED} ({job.postponed})" if job.postponed else "not signed yet"
        return f"reserved{approval}, {waits}; the quote ends at {ends_at}"
    return f"reserved{approval}, the quote ended at {ends_at}; the next tick releases it"


def _authorized_text(job: Authorized, running: bool, moment: _Moment, heard: Mapping[str, float]) -> str:
    if job.work is not None:
        text = f"{_work_text(job.work, running, moment, heard.get(job.job_id), paid=False)}; {_hold_text(job, moment)}"
        return f"{text}; {POSTPONED} ({job.postponed})" if job.postponed and running else text
    expires_at = job.authorization.valid_before
    prefix = "authorized, no longer needed" if job.cancellation else "authorized"
    ending = "expires" if moment.now < expires_at else "expired"
    return f"{prefix}, the chain has not decided; the authorization {ending} at {moment.show(expires_at)}"


def _hold_text(job: Authorized, moment: _Moment) -> str:
    """What is held for work that is paid only once it is done."""
    text = f"{show_usd(job.quote.amount)} held, not paid"
    expires_at = job.authorization.valid_before
    if moment.now >= expires_at:
        return f"{text}: the authorization expired at {moment.show(expires_at)}, the chain has not decided"
    cancelling = "cancelled, or " if job.cancellation else ""
    return f"{text}: {cancelling}void at {moment.show(expires_at)} unless the vendor takes it before"


def _collecting_text(work: Collecting, running: bool, moment: _Moment) -> str:
    files = work.files or (work.offer.files if work.offer else ())
    size = sum(file.bytes for file in files) / 1e6
    text = f"the work is over, {counted(len(files), 'file')}, {size:.1f} MB, to be fetched"
    if not running:
        return f"{text}; not followed any more, the run has ended"
    if work.hindered_since is not None:
        since, given_up_at = (
            moment.show(at) for at in (work.hindered_since, work.hindered_since + moment.pace.silence_s)
        )
        text += f", hardly anything came since {since} ({work.problem}), given up at {given_up_at}"
    return text


def _work_text(work: Work, running: bool, moment: _Moment, heard_at: float | None, *, paid: bool = True) -> str:
    match work:
        case Completed(at=at):
            return f"completed at {moment.show(at)}"
        case Failed(reason, at, ending=JobEnding.SUPERSEDED):
            return f"{'paid, ' if paid else ''}ended at {moment.show(at)}: {reason[:REASON_MAX]}"
        case Failed(reason, at):
            return f"{'paid, ' if paid else ''}failed at {moment.show(at)}: {reason[:REASON_MAX]}"
        case Collecting():
            return _collecting_text(work, running, moment)
        case Owed(since=since):
            text = f"paid, the vendor has named no job since {moment.show(since)}"
        case Underway(progress=progress):
            text = f"running, {progress:.0%}"
    if work.reply and work.silent_since is None:
        text += f", the vendor says: {work.reply}"
    if not running:
        return f"{text}; not followed any more, the run has ended"
    if work.silent_since is not None:
        given_up_at = moment.show(work.silent_since + moment.pace.silence_s)
        text += f", no answer since {moment.show(work.silent_since)}, given up at {given_up_at}"
        return f"{text}; asking again at {moment.next_poll(work.silent_since)}"
    if heard_at is not None:
        text += f", last heard {moment.show(heard_at)}"
    if not isinstance(work, Owed):
        return text
    if work.asked_at is not None:
        patience_s = max(moment.pace.patience_s, moment.pace.silence_s)
        text += f", given up at {moment.show(work.asked_at + patience_s)}"
    return f"{text}; asking again at {moment.next_poll(work.since)}"
