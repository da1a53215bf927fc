"""Approvals of several purchases at once, each bound to the amount that was shown for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuagent.agent.approve import approve
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Runs
from gpuagent.core.text import check_signed
from gpuagent.errors import BadInput, IllegalTransition


@dataclass(frozen=True, slots=True)
class PurchaseChoice:
    """A purchase that a user chose, at the amount that was shown, in atomic units. job_id: "" where one waits."""

    run_id: str
    amount: int
    job_id: str = ""


def approve_each(choices: Sequence[PurchaseChoice], by: str, store: Runs, clock: Clock) -> list[str]:
    """Approve each by itself: the problem of each, "" where it was approved. Raises BadInput for no name.

    One that has expired, was answered, or is another amount by now is left as it is; the others go on.
    """
    check_signed(by)
    return [_problem(choice, by, store, clock) for choice in choices]


def _problem(choice: PurchaseChoice, by: str, store: Runs, clock: Clock) -> str:
    try:
        approve(choice.run_id, by, choice.amount, store, clock, choice.job_id)
    except (BadInput, IllegalTransition) as error:
        return str(error)
    return ""
