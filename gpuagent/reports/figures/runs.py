"""Runs of a report: their budgets and how these burnt down, the time to success, planners compared. Pure."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
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
    paid = zip(purchases.runId, purchases.state == "settled", purchases.settledAt, purchases.paid, strict=True)
    spent = [(at, int(amount)) for run_id, settled, at, amount in paid if settled and run_id == run.runId]
    charged = zip(decisions.runId, decisions["at"], decisions.cost, strict=True)
    spent += [(at, int(cost)) for run_id, at, cost in charged if run_id == run.runId]
    times, amounts = [run.createdAt], [int(run.budgetTotal)]
    for at, amount in sorted((entry for entry in spent if entry[0] <= until), key=itemgetter(0)):
        times.append(at)
        amounts.append(amounts[-1] - amount)
    times.append(until if run.status == "running" else min(run.updatedAt, until))
    return frame(pd.DataFrame({"at": times, "remaining": [*amounts, amounts[-1]]}), BURN)


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
