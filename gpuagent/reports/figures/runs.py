"""Runs of a report: their budgets and how these burnt down, the time to success, planners compared. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gpuagent.planbench.ab import Arm, measure_arms
from gpuagent.reports.frames import TIME, Frame, frame

BUDGETS = {
    **dict.fromkeys(("runId", "userId", "goal", "phase", "planner"), "str"),
    **dict.fromkeys(("budgetTotal", "settled", "held", "plannerCost", "budgetRemaining"), "int64"),
    "createdAt": TIME,
}
BURN = {"at": TIME, "remaining": "int64"}
TIMES = {
    **dict.fromkeys(("runId", "userId", "planner", "gpuType"), "str"),
    "jobs": "int64",
    "seconds": "float64",
    "createdAt": TIME,
    "doneAt": TIME,
}
ARMS = ("planner", "runs", "ended", "completed", "low", "high", "spend", "plannerCost")


def started_in(runs: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    return runs[(runs.createdAt >= since) & (runs.createdAt < until)].reset_index(drop=True)


def budgets(runs: Frame) -> Frame:
    """The parts of each budget, the most spent first: settled + held + plannerCost + budgetRemaining add up to it."""
    spent = runs.settled + runs.plannerCost
    order = spent.sort_values(ascending=False, kind="stable").index
    return frame(runs.loc[order], BUDGETS).reset_index(drop=True)


def burn_down(run: Any, purchases: Frame, decisions: Frame, until: pd.Timestamp) -> Frame:
    """The rest of one run's budget after each settlement and each paid answer of its planner.

    run: a row of the runs frame; purchases, decisions: all of the run, whoever the vendor. What is only held counts
    as left. It ends with the run, or at `until` while that goes on.
    """
    own_purchases = purchases[(purchases.runId == run.runId) & (purchases.state == "settled")]
    own_decisions = decisions[decisions.runId == run.runId]
    spent = pd.concat(
        [
            frame(own_purchases.assign(at=own_purchases.settledAt, remaining=own_purchases.paid), BURN),
            frame(own_decisions.assign(remaining=own_decisions.cost), BURN),
        ]
    ).sort_values("at", kind="stable")
    spent = spent[spent["at"] <= until]
    remaining = int(run.budgetTotal) - spent.remaining.cumsum()
    rest = int(remaining.iloc[-1]) if len(remaining) else int(run.budgetTotal)
    ends_at = until if run.status == "running" else min(run.updatedAt, until)
    steps = [
        pd.DataFrame({"at": [run.createdAt], "remaining": [int(run.budgetTotal)]}),
        pd.DataFrame({"at": spent["at"], "remaining": remaining}),
        pd.DataFrame({"at": [ends_at], "remaining": [rest]}),
    ]
    return frame(pd.concat(steps), BURN).reset_index(drop=True)


def times_to_success(runs: Frame, purchases: Frame) -> Frame:
    """The runs that succeeded: seconds from the start to the end of the job that completed, and the jobs it took."""
    return frame(successes(runs, purchases), TIMES).sort_values("seconds", ignore_index=True)


def successes(runs: Frame, purchases: Frame) -> Frame:
    """The same runs in their order, with all their columns."""
    completed = purchases[(purchases.status == "completed") & (purchases.state == "settled")]
    ends = completed.groupby("runId", sort=False).completedAt.min()
    successful = runs[runs.status == "completed"]
    done = successful[successful.runId.isin(ends.index)]
    done_at = pd.Series(ends.reindex(done.runId).array, index=done.index)
    jobs = purchases.groupby("runId", sort=False).size().reindex(done.runId).to_numpy()
    return done.assign(doneAt=done_at, jobs=jobs, seconds=(done_at - done.createdAt).dt.total_seconds())


def compare_planners(runs: Frame, tag: str = "") -> list[Arm]:
    """The arms of runs that were started with several planners, by the one each was assigned."""
    rows: list[Mapping[str, Any]] = runs[runs.plannerArms.map(bool)].to_dict("records") if len(runs) else []
    return measure_arms(rows, tag)


def arm_rows(planner_arms: Sequence[Arm]) -> Frame:
    """The figures of each arm: shares with intervals of 95 %; spend, plannerCost: a run's mean, in atomic units.

    Empty where no run has ended.
    """
    rows = [
        {
            "planner": arm.planner,
            "runs": arm.runs,
            "ended": arm.ended,
            "completed": arm.complete and arm.complete.mean,
            "low": arm.complete and arm.complete.low,
            "high": arm.complete and arm.complete.high,
            "spend": arm.spend and round(arm.spend.mean),
            "plannerCost": arm.planner_cost and round(arm.planner_cost.mean),
        }
        for arm in planner_arms
    ]
    return pd.DataFrame(rows, columns=list(ARMS))
