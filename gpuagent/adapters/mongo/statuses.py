"""Queries by a run's status, translated to its phase, so that the index on phases serves them."""

from gpuagent.adapters.mongo.values import Document, money
from gpuagent.core.model import Phase, RunStatus

ENDS = {RunStatus.COMPLETED: Phase.SUCCESS, RunStatus.FAILED: Phase.FAILED}


def of_status(status: str) -> Document:
    """What matches the runs with this status. Those of the original system have no phase."""
    end = ENDS.get(RunStatus(status))
    phases = [end] if end else [phase for phase in Phase if phase not in ENDS.values()]
    return {"phase": {"$in": [*(phase.value for phase in phases), None]}, "status": status}


RUNNING = of_status(RunStatus.RUNNING.value)
UNFINISHED: list[Document] = [RUNNING, {"held": {"$gt": money(0)}}]
"""For an $or: the runs that run, or hold money still."""
