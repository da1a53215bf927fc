"""Our own verdict on a job: the success test, whose fault a failure is, and when buying once more is of no use. Pure.

One vendor's word for an exit code may be a lie to save work, so the work is bought once more elsewhere. Where a second
job ends with the same code, the program is at fault: the run ends, and no vendor is blamed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuagent.core.indices import completed, of_index
from gpuagent.core.model import (
    JOBS_MAX,
    Job,
    Ordered,
    Quote,
    Reserved,
    Run,
    Voided,
)
from gpuagent.core.orders import MANIFEST_MAX
from gpuagent.core.resume import remainder, resumed_from, spoiled, with_checkpoints
from gpuagent.core.work import Completed, Failed, Fault, FileEntry, FileKind, JobEnding, JobFile, JobReport, Underway
from gpuagent.core.workload import Workload, from_canonical

TIME_UP = 0.97
"""A job that ends so late in its paid time, without an exit code, has used it up: clocks differ a little."""
TAIL_LINES, TAIL_CHARS = 3, 300


def outputs_to_fetch(
    workload: Workload, manifest: Iterable[FileEntry], file_max: int, room: int
) -> tuple[tuple[FileEntry, ...], str]:
    """The outputs to fetch of what a vendor lists, and what is wrong with the list, "" for nothing.

    file_max: bytes of one file by the policy; room: what the run's files may still take.
    """
    listed = {entry.path: entry for entry in manifest}
    files = []
    for output in workload.outputs:
        entry, limit = listed.get(output.path), min(output.max_bytes, file_max)
        if entry and entry.bytes <= min(limit, room):
            files.append(entry)
            room -= entry.bytes
        elif output.required and not entry:
            return (), f"there is no {output.path}"
        elif output.required and entry:
            return (), f"{output.path} has {entry.bytes} bytes, where {min(limit, room)} are allowed"
    return tuple(files), ""


def manifest_max(run: Run) -> int:
    """The length of a checkpoint's list of files that is kept: many jobs have no more room together than a few."""
    return MANIFEST_MAX if run.count == 1 else MANIFEST_MAX * JOBS_MAX // run.jobs_max


def room(run: Run, run_files_max: int) -> int:
    """The bytes that files of the run may still take, by the policy.

    Of checkpoints only those count that the next job of each index would go on from: it may replace its own.
    """
    resumable = [remainder(run, index).checkpoint for index in with_checkpoints(run) - completed(run)]
    needed = {file.sha256 for checkpoint in resumable if checkpoint for file in checkpoint.files}
    files = {
        file.sha256: file.bytes
        for job in run.jobs
        if isinstance(job, Ordered)
        for file in job.files
        if file.kind is FileKind.OUTPUT or file.sha256 in needed
    }
    inputs = {entry.sha256: entry.bytes or 0 for entry in from_canonical(run.workload).inputs} if run.workload else {}
    return max(run_files_max - sum((files | inputs).values()), 0)


def success_problem(workload: Workload, outcome: Completed, files: Iterable[JobFile]) -> str:
    """Why the success test says no, "" where the work is done. files: those that are proven."""
    test, paths = workload.success, {file.path for file in files}
    if test.exit_code is not None and outcome.exit_code != test.exit_code:
        reported = "none" if outcome.exit_code is None else outcome.exit_code
        return f"exit code {reported}, and {test.exit_code} means success"
    for output in workload.outputs:
        if output.required and output.path not in paths:
            return f"there is no {output.path}"
    return test.metric.problem(outcome.final_metrics) if test.metric else ""


def fault_of(report: JobReport, quote: Quote, work: Underway, now: float, workload: Workload | None) -> Fault:
    """Whose fault a job that its vendor calls failed is, by our own clock and the program's exit code.

    Without a workload there is no program of ours. A vendor that let the time go by without a sign of work has not
    used it.
    """
    if workload is None:
        return Fault.VENDOR
    if report.exit_code is not None and report.exit_code != workload.success.exit_code:
        return Fault.PROGRAM
    has_worked = bool(work.progress or work.logs_seen or work.metrics_seen)
    paid_s = float(quote.max_hours) * 3600
    return Fault.TIME if has_worked and now - work.started_at >= paid_s * TIME_UP else Fault.VENDOR


def ending_of(exit_code: int | None, started_at: float, at: float, at_once_s: float) -> JobEnding:
    """The ending of a job that its vendor calls completed and that has failed. exit_code: None where that is no doing
    of the program. at: when the vendor said so."""
    return JobEnding.AT_ONCE if exit_code is None and at - started_at < at_once_s else JobEnding.REPORTED


def failure_reason(report: JobReport, last_lines: Iterable[str]) -> str:
    """The reason in words: the exit code with the last lines of the log, or what the vendor says."""
    if report.exit_code is None:
        silent = f"the vendor says {report.word}" if report.word else "the vendor gives no reason"
        return report.error_message or silent
    tail = " | ".join(line.strip() for line in list(last_lines)[-TAIL_LINES:] if line.strip())[-TAIL_CHARS:]
    return f"exit code {report.exit_code}" + (f": {tail}" if tail else f": {report.error_message or 'no log'}")


def hopeless(run: Run) -> str:
    """Why buying the work once more is of no use, "" while it may be.

    Of several jobs each is looked at by itself; until the first has completed all of them together, as one program
    that never ends well is to cost no more than where it runs once.
    """
    if run.count == 1:
        return _hopeless(run)
    for index in _failing(run):
        if why := _hopeless(of_index(run, index)):
            return f"job {index}: {why}"
    return "" if completed(run) else _hopeless(_without_echoes(run))


def _without_echoes(run: Run) -> Run:
    """The run with one of the failures that a vendor had at the same time: they say no more than one of them."""
    jobs, ends = [], dict[str, float]()
    for job in run.jobs:
        if not isinstance(job, Reserved) and isinstance(job.work, Failed):
            if job.reserved_at <= ends.get(job.quote.vendor_id, 0.0):
                continue
            ends[job.quote.vendor_id] = job.work.at
        jobs.append(job)
    return replace(run, jobs=tuple(jobs))


def _failing(run: Run) -> list[int]:
    """The indices that are missing, and of which a job has failed."""
    return sorted({job.quote.index for job, _ in _failed(run)} - completed(run))


def _hopeless(run: Run) -> str:
    """As hopeless(), of jobs that all do the same work."""
    if not run.workload:
        return ""
    workload = from_canonical(run.workload)
    for job, work in _failed(run):
        if work.fault is Fault.TIME and not resumed_from(job.quote) and job.checkpoint is None:
            return (
                f"the paid time ended at {job.quote.vendor_id}, and no checkpoint was kept: "
                f"max_duration ({workload.max_duration} s) was too short"
            )
    reported = _reported(run, workload)
    counts = Counter(work.exit_code for work in reported)
    for work in reported:
        if work.exit_code is not None and workload.on_exit.get(work.exit_code) == "stop":
            return f"{work.reason}. on_exit says to stop"
        if counts[work.exit_code] >= workload.program_failures:
            times = counts[work.exit_code]
            return f"the work ended {times} times in the same way, which is not the vendors' doing: {work.reason}"
    if len(reported) > workload.program_failures:
        return f"the program failed {len(reported)} times: {reported[-1].reason}"
    return ""


def is_enough(run: Run, open_jobs: int) -> bool:
    """Whether no further job is to be begun beside those that are open: they may all end by the program's fault."""
    if not run.workload or not open_jobs:
        return False
    if run.count > 1:
        return False  # those that are open do other work
    return is_enough_of(run, 0, open_jobs)


def is_enough_of(run: Run, index: int, open_jobs: int) -> bool:
    """The same of one index, of which so many jobs are open."""
    if not run.workload:
        return False
    workload = from_canonical(run.workload)
    return open_jobs + len(_reported(of_index(run, index), workload)) >= workload.program_failures


def to_confirm(run: Run, index: int = 0) -> Mapping[str, int]:
    """The vendors that reported an exit code, which another is to confirm: vendor_id to exit code.

    Of several jobs it is that of this index; until the first has completed, of any.
    """
    failed = _failed(of_index(run, index) if completed(run) else run)
    return {job.quote.vendor_id: work.exit_code for job, work in failed if work.exit_code is not None}


def blamed(run: Run, index: int = 0) -> Run:
    """The run once a job of this index completed: vendors that reported a failing program there were wrong.

    But not where the job went on from a checkpoint that led nowhere.
    """
    led_nowhere = spoiled(run, index)

    def judged(job: Job) -> Job:
        if not isinstance(job, Ordered) or not isinstance(job.work, Failed) or job.work.fault is not Fault.PROGRAM:
            return job
        workload = from_canonical(run.workload)
        is_retry = job.work.exit_code is not None and workload.on_exit.get(job.work.exit_code) == "retry"
        if job.quote.index != index or is_retry or resumed_from(job.quote) in led_nowhere:
            return job
        return replace(job, work=replace(job.work, fault=Fault.VENDOR))

    return replace(run, jobs=tuple(map(judged, run.jobs))) if run.workload else run


def excused(run: Run) -> Run:
    """The run once it is given up because the work ended in the same way again: that is no vendor's doing."""
    if not hopeless(run):
        return run
    hopeless_alone = {index for index in _failing(run) if _hopeless(of_index(run, index))}

    def judged(job: Job) -> Job:
        if not isinstance(job, Ordered) or not isinstance(job.work, Failed) or job.work.exit_code is None:
            return job
        if hopeless_alone and job.quote.index not in hopeless_alone:
            return job
        return replace(job, work=replace(job.work, fault=Fault.PROGRAM))

    return replace(run, jobs=tuple(map(judged, run.jobs)))


def _reported(run: Run, workload: Workload) -> list[Failed]:
    """The failures with an exit code, but those after which the job file says to try again."""
    return [
        work
        for _, work in _failed(run)
        if work.exit_code is not None and workload.on_exit.get(work.exit_code) != "retry"
    ]


def _failed(run: Run) -> list[tuple[Ordered | Voided, Failed]]:
    return [(job, job.work) for job in run.jobs if not isinstance(job, Reserved) and isinstance(job.work, Failed)]
