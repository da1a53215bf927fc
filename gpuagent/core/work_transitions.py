"""The work of an ordered job, pure: what an event about it makes of the job, whether it is paid for yet or not."""

from dataclasses import replace
from typing import TypeVar

from gpuagent.core.events import (
    CheckpointKept,
    CheckpointLost,
    CollectingBegan,
    CollectingHindered,
    Event,
    FilesKept,
    JobAnswered,
    JobClaimed,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
)
from gpuagent.core.model import NO_ACCESS, JobAccess, Ordered
from gpuagent.core.work import (
    CheckpointOffer,
    Collecting,
    FileKind,
    JobFile,
    Owed,
    Underway,
    with_metrics,
)
from gpuagent.errors import IllegalTransition


def next_work(job: Ordered, event: Event) -> Ordered | None:
    """The job after the event, None where the event does not fit."""
    match job.work, event:
        case None | Owed(), JobClaimed():
            return reached(replace(job, work=Underway(event.vendor_job_id, event.at)), event.access)
        case Underway() as work, JobProgressed():
            return replace(job, work=_progressed(work, event))
        case Owed(silent_since=None) as work, JobWentSilent():
            return replace(job, work=replace(work, silent_since=event.at, asked_at=work.asked_at or event.at))
        case Underway(silent_since=None) as work, JobWentSilent():
            return replace(job, work=replace(work, silent_since=event.at))
        case Owed() as work, JobAnswered():
            asked_at = work.asked_at or event.at
            return replace(job, work=replace(work, silent_since=None, reply=event.reply, asked_at=asked_at))
        case Underway() as work, JobAnswered():
            return replace(job, work=replace(work, silent_since=None, reply=event.reply))
        case Underway(asked_to_stop=False) as work, JobStopped():
            return replace(job, work=replace(work, asked_to_stop=True))
        case Underway(), CollectingBegan():
            return replace(job, work=event.work)
        case Underway(offer=offer) | Collecting(offer=offer), CheckpointKept() if offer:
            return _kept(job, offer, event)
        case Underway(offer=offer) as work, CheckpointLost() if not offer or offer.sha256 == event.sha256:
            return replace(
                job, work=replace(work, offer=None, lost=event.sha256, lost_at=event.at), files=_current(job)
            )
        case Collecting(offer=offer) as work, CheckpointLost() if offer and offer.sha256 == event.sha256:
            return replace(job, work=replace(work, offer=None), files=_current(job))
        case Underway(), FilesKept():
            return replace(job, files=_with_files(job.files, event.files))
        case Collecting() as work, FilesKept():
            work = replace(work, hindered_since=None, problem="")
            return replace(job, files=_with_files(job.files, event.files), work=work)
        case Collecting(hindered_since=None) as work, CollectingHindered():
            return replace(job, work=replace(work, hindered_since=event.at, problem=event.problem))
        case None | Owed() | Underway() | Collecting(), JobFinished():
            return replace(job, work=event.outcome, files=_with_files(job.files, event.files))
    return None


Reached = TypeVar("Reached", bound=Ordered)


def reached(job: Reached, access: JobAccess) -> Reached:
    """The job with what the vendor gives to reach it by; an answer that gives nothing leaves what was given before."""
    return replace(job, access=access) if access != NO_ACCESS else job


def _kept(job: Ordered, offer: CheckpointOffer, event: CheckpointKept) -> Ordered:
    """The job with its newest checkpoint whole; the files of the one before it are not the job's any more."""
    work = job.work
    if offer.sha256 != event.checkpoint.sha256 or not isinstance(work, Underway | Collecting):
        raise IllegalTransition(f"{event} is not the checkpoint that was offered")
    job = replace(job, files=_with_files(job.files, event.files), checkpoint=event.checkpoint)
    return replace(job, files=_current(job), work=replace(work, offer=None))


def _current(job: Ordered) -> tuple[JobFile, ...]:
    """The outputs, and the files of the checkpoint that is kept."""
    contents = {(file.path, file.sha256) for file in job.checkpoint.files} if job.checkpoint else set()
    return tuple(
        file for file in job.files if file.kind is not FileKind.CHECKPOINT or (file.path, file.sha256) in contents
    )


def _with_files(files: tuple[JobFile, ...], more: tuple[JobFile, ...]) -> tuple[JobFile, ...]:
    """Each output once; of a checkpoint's paths several contents, while the next one is being fetched."""
    by_place = {
        (file.kind, file.path, file.sha256 if file.kind is FileKind.CHECKPOINT else ""): file
        for file in (*files, *more)
    }
    return tuple(by_place.values())


def _progressed(work: Underway, event: JobProgressed) -> Underway:
    return replace(
        work,
        progress=max(work.progress, event.progress),
        logs_seen=work.logs_seen + len(event.new_logs),
        silent_since=None,
        reply=event.reply,
        cursor=event.cursor or work.cursor,
        metrics=with_metrics(work.metrics, event.metrics),
        metrics_seen=work.metrics_seen + len(event.metrics),
        offer=work.offer or event.offer,
    )
