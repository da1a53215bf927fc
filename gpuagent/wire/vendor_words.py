"""The words in which vendors name a job and its state. A word for a state that is not here counts as alive.

A word for an end is believed by its whole alone: a job that is taken for over is paid for again elsewhere, and one that
is taken for alive is waited for no longer than the paid hours and the operator's patience.
"""

import re

from gpuagent.core.work import JobStatus

JOB_NAMES = ("vendorJobId", "vendor_job_id", "jobId", "job_id", "jobID")
"""Fields that name the job of a paid order, ours first."""
STATE_NAMES = ("status", "state")
"""Fields that hold the state of a job, ours first."""
SUBMITTED = (
    *("submitted", "queued", "queueing", "enqueued", "inqueue", "pending", "waiting", "accepted", "received"),
    *("created", "new", "open", "scheduled", "scheduling", "assigned", "allocating", "allocated", "reserved"),
    *("provisioning", "provisioned", "preparing", "initializing", "initialising", "init", "setup"),
    *("pulling", "building", "booting", "loading", "starting", "launching", "restarting", "requeued", "retrying"),
    *("paused", "suspended", "onhold", "held", "blocked"),
)
"""Alive, and not at work."""
RUNNING = (
    *("running", "inprogress", "processing", "active", "started", "executing", "working", "training", "busy", "live"),
    *("uploading", "finalizing", "finalising", "finishing", "completing", "stopping", "terminating", "canceling"),
    "cancelling",
)
"""Alive, and at work or about to end."""
COMPLETED = ("completed", "complete", "succeeded", "success", "successful", "done", "finished", "ok")
FAILED = (
    *("failed", "failure", "fail", "error", "errored", "unsuccessful", "crashed", "aborted", "rejected", "refused"),
    *("cancelled", "canceled", "expired", "preempted", "evicted", "interrupted", "terminated", "killed", "stopped"),
    *("timeout", "timedout", "deadlineexceeded", "oom", "oomkilled", "outofmemory", "lost", "nodelost", "deleted"),
)
"""Over, without a result."""
STATES = {
    **dict.fromkeys(SUBMITTED, JobStatus.SUBMITTED),
    **dict.fromkeys(RUNNING, JobStatus.RUNNING),
    **dict.fromkeys(COMPLETED, JobStatus.COMPLETED),
    **dict.fromkeys(FAILED, JobStatus.FAILED),
}
"""By the word in lower case, without hyphens, underscores and blanks."""
_SEPARATORS = re.compile(r"[\s_.-]+")
_PREFIX = re.compile(r"^(job|task|run)?(state|status)?")


def status_of(word: str) -> JobStatus | None:
    """Our status for a vendor's word, however it is written (`In-Progress`, JOB_STATE_QUEUED); None for a new word."""
    plain = _SEPARATORS.sub("", word.casefold())
    return STATES.get(plain) or STATES.get(_PREFIX.sub("", plain))
