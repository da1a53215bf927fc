"""Steps that need the agent's own file store wait while it fails: no vendor is to blame for that."""

from gpuagent.core.events import StepPostponed
from gpuagent.core.model import Authorized, Ordered, Reserved, Settled
from gpuagent.core.text import clean
from gpuagent.core.work import Collecting, Owed
from gpuagent.errors import FileStoreError

PROBLEM_MAX = 300


def postponed(job: Reserved | Ordered, error: FileStoreError) -> StepPostponed | None:
    """The event that postpones the job's step; None where it is postponed already, and no vendor's time is running."""
    match job:
        case Settled(work=Owed(silent_since=float()) | Owed(asked_at=float())):
            return StepPostponed(job.job_id, clean(str(error), PROBLEM_MAX))
        case Authorized(work=Collecting(hindered_since=float())) | Settled(work=Collecting(hindered_since=float())):
            return StepPostponed(job.job_id, clean(str(error), PROBLEM_MAX))
    return None if job.postponed else StepPostponed(job.job_id, clean(str(error), PROBLEM_MAX))
