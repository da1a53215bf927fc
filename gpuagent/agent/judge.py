"""What a vendor's word about a job comes to: its end, the files to fetch, and a checkpoint worth fetching."""

from dataclasses import dataclass

from gpuagent.agent.guard import check_clocks
from gpuagent.core.events import CollectingBegan, JobFinished
from gpuagent.core.model import Ordered, Run
from gpuagent.core.orders import FILES, manifest_text
from gpuagent.core.ports import Ports
from gpuagent.core.verdict import ending_of, failure_reason, fault_of, manifest_max, outputs_to_fetch, room
from gpuagent.core.work import (
    CheckpointOffer,
    Collecting,
    Completed,
    Failed,
    Fault,
    JobEnding,
    JobReport,
    JobStatus,
    Underway,
    with_metrics,
)
from gpuagent.core.workload import from_canonical

FINAL_METRICS_MAX = 96
"""Names of metrics that a completed job has: those of its news, and those of its vendor's last word."""


@dataclass(frozen=True, slots=True)
class VendorNews:
    """A vendor's report on a job that is underway. logs: its lines that are not stored yet. now: when it came."""

    run: Run
    job: Ordered
    work: Underway
    report: JobReport
    logs: tuple[str, ...]
    now: float

    def collecting(self, work: Collecting) -> CollectingBegan:
        """The event that there are files to fetch."""
        return CollectingBegan(self.job.job_id, work, self.logs, self.report.metrics)

    def finished(self, outcome: Completed | Failed) -> JobFinished:
        """The event that the work has ended, with nothing to fetch."""
        return JobFinished(self.job.job_id, outcome, self.logs, self.report.metrics)


def end_of_work(news: VendorNews, ports: Ports) -> CollectingBegan | JobFinished | None:
    """The end of the job by its vendor's word, None while it goes on. With a workload its files are collected first.

    Whether a failure came at once, or with the end of the paid time, is judged by the time that all clocks agree on:
    raises ClocksDiffer, and ChainError when the chain does not answer.
    """
    match news.report.status:
        case JobStatus.COMPLETED:
            return _completed(news, ports)
        case JobStatus.FAILED:
            return _failed(news, ports)
    return None


def offered_checkpoint(news: VendorNews, ports: Ports, *, at_end: bool = False) -> tuple[CheckpointOffer | None, str]:
    """The listed checkpoint, if it is new and due; else None, with the reason where it is one that may not be kept.

    at_end: the job is over, so that a new one is due whatever its `every` says.
    """
    run, job, offer, lost = news.run, news.job, news.report.checkpoint, news.work.lost
    if not run.workload or offer is None or news.work.offer or FILES not in job.quote.accepts:
        return None, ""
    wish = from_canonical(run.workload).checkpoint
    if wish is None or offer.sha256 == lost or (job.checkpoint and job.checkpoint.sha256 == offer.sha256):
        return None, ""
    # One that could not be had counts too: a vendor may list another each time that it is asked.
    last = max(job.checkpoint.at if job.checkpoint else 0.0, news.work.lost_at or 0.0)
    if last and not at_end and news.now - last < wish.every:
        return None, ""
    listed, most = len(manifest_text(offer.files)), manifest_max(run)
    if listed > most:
        return None, f"its checkpoint's list of files has {listed} characters, and {most} are kept beside so many jobs"
    rules, size = ports.store.policy(), sum(file.bytes for file in offer.files)
    if size > room(run, rules.run_files_max) or any(file.bytes > rules.file_max for file in offer.files):
        return None, f"its checkpoint of {size} bytes is larger than the policy allows (file_max, run_files_max)"
    return offer, ""


def _completed(news: VendorNews, ports: Ports) -> CollectingBegan | JobFinished:
    run, work, report, now = news.run, news.work, news.report, news.now
    metrics = with_metrics({}, (report.final_metrics, with_metrics(work.metrics, report.metrics)), FINAL_METRICS_MAX)
    outcome = Completed(work.vendor_job_id, now, metrics, report.artifact_url, report.exit_code)
    if not run.workload:
        return news.finished(outcome)
    workload = from_canonical(run.workload)
    if report.exit_code is not None and workload.success.exit_code not in (None, report.exit_code):
        # Some vendors call completed whatever has come to its end, and are paid for it; the work failed all the same.
        return _failed(news, ports)
    rules = ports.store.policy()
    free = room(run, rules.run_files_max)
    files, problem = outputs_to_fetch(workload, report.files, rules.file_max, free)
    if not problem:
        return news.collecting(Collecting(outcome, work.started_at, files))
    left_out = f" ({'; '.join(report.refused)})" if report.refused else ""
    reason = f"{news.job.quote.vendor_id} says completed, and {problem}{left_out}"
    ending = ending_of(report.exit_code, work.started_at, check_clocks(ports), ports.pace.at_once_s)
    return news.finished(Failed(reason, now, work.vendor_job_id, ending, exit_code=report.exit_code))


def _failed(news: VendorNews, ports: Ports) -> CollectingBegan | JobFinished:
    run, work, report = news.run, news.work, news.report
    workload = from_canonical(run.workload) if run.workload else None
    agreed = check_clocks(ports)
    fault = fault_of(report, news.job.quote, work, agreed, workload)
    at_once = fault is not Fault.PROGRAM and agreed - work.started_at < ports.pace.at_once_s
    reason = failure_reason(report, news.logs)
    if fault is Fault.TIME:
        reason = f"the paid time ended at {work.progress:.0%}: {reason}"
    outcome = Failed(
        reason,
        news.now,
        work.vendor_job_id,
        JobEnding.AT_ONCE if at_once else JobEnding.REPORTED,
        fault=fault,
        exit_code=report.exit_code if fault is Fault.PROGRAM else None,
    )
    offer, _ = offered_checkpoint(news, ports, at_end=True)
    offer = offer or work.offer
    return news.collecting(Collecting(outcome, work.started_at, offer=offer)) if offer else news.finished(outcome)
