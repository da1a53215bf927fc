"""The ledger arithmetic, pure: budget = settled + held + planner cost + available, always."""

from gpuagent.core.model import Authorized, Ledger, Reserved, Run, Settled
from gpuagent.errors import BudgetExceeded


def settled(run: Run) -> int:
    """The amount paid to vendors, final on chain. Atomic units, as everywhere here."""
    return sum(job.quote.amount for job in run.jobs if isinstance(job, Settled))


def held(run: Run) -> int:
    """The amount reserved for quotes whose payment may still settle."""
    return sum(job.quote.amount for job in run.jobs if isinstance(job, Reserved | Authorized))


def available(run: Run) -> int:
    """The amount that may still be reserved or spent on planning."""
    return run.budget - settled(run) - held(run) - run.planner_cost


def ledger(run: Run) -> Ledger:
    """The four parts of the run's budget."""
    return Ledger(settled(run), held(run), run.planner_cost, available(run))


def check(run: Run) -> Run:
    """The run itself. Raises BudgetExceeded when it would owe more than its budget."""
    if available(run) < 0:
        raise BudgetExceeded(f"{-available(run)} atomic units above the budget of {run.budget}")
    return run
