"""Runs: their budgets as they burnt down, how long success took, and planners compared. Pure."""

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


def budgets(runs: Frame) -> Frame:
    """What each budget is made of, the most spent first: settled + held + plannerCost + budgetRemaining add up."""
    spent = runs.settled + runs.plannerCost
    order = spent.sort_values(ascending=False, kind="stable").index
    return frame(runs.loc[order], BUDGETS).reset_index(drop=True)


def burn_down(run: Any, purchases: Frame, decisions: Frame, until: pd.Timestamp) -> Frame:
    """What was left of one run's budget after each settlement and each paid answer of its planner.

    run: a row of the runs frame; purchases, decisions: all of the run, whoever the vendor. What is only held counts
    as left. It ends with the run, or at `until` while that goes on.
    """
    own = purchases[(purchases.runId == run.runId) & (purchases.state == "settled")]
    asked = decisions[decisions.runId == run.runId]
    spent = pd.concat(
        [
            frame(own.assign(at=own.settledAt, remaining=own.paid), BURN),
            frame(asked.assign(remaining=asked.cost), BURN),
        ]
    ).sort_values("at", kind="stable")
    spent = spent[spent["at"] <= until]
    left = int(run.budgetTotal) - spent.remaining.cumsum()
    rest = int(left.iloc[-1]) if len(left) else int(run.budgetTotal)
    ends_at = until if run.status == "running" else min(run.updatedAt, until)
    return frame(
        pd.concat(
            [
                pd.DataFrame({"at": [run.createdAt], "remaining": [int(run.budgetTotal)]}),
                pd.DataFrame({"at": spent["at"], "remaining": left}),
                pd.DataFrame({"at": [ends_at], "remaining": [rest]}),
            ]
        ),
        BURN,
    ).reset_index(drop=True)


def started_in(runs: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    return runs[(runs.createdAt >= since) & (runs.createdAt < until)].reset_index(drop=True)


def times_to_success(runs: Frame, purchases: Frame) -> Frame:
    """Of these runs, those that succeeded: seconds from start to the job that completed, and jobs it took."""
    done = purchases[(purchases.status == "completed") & (purchases.state == "settled")]
    ended = done.groupby("runId", as_index=False).agg(doneAt=("completedAt", "min"))
    tried = purchases.groupby("runId", as_index=False).agg(jobs=("jobId", "count"))
    found = runs[runs.status == "completed"].merge(ended, on="runId").merge(tried, on="runId")
    found["seconds"] = (found.doneAt - found.createdAt).dt.total_seconds()
    return frame(found, TIMES).sort_values("seconds", ignore_index=True)


TIMES = {
    **dict.fromkeys(("runId", "userId", "planner", "gpuType"), "str"),
    "jobs": "int64",
    "seconds": "float64",
    "createdAt": TIME,
    "doneAt": TIME,
}


def arm_rows(found: Sequence[Arm]) -> Frame:
    """Shares and intervals of 95 %; spend: a run's mean, in atomic units. Empty where no run has ended."""
    rows = []
    for arm in found:
        share, spent, cost = arm.complete, arm.spend, arm.planner_cost
        figures = {
            "completed": share and share.mean,
            "low": share and share.low,
            "high": share and share.high,
            "spend": spent and round(spent.mean),
            "plannerCost": cost and round(cost.mean),
        }
        rows.append({"planner": arm.planner, "runs": arm.runs, "ended": arm.ended, **figures})
    return pd.DataFrame(rows, columns=["planner", "runs", "ended", "completed", "low", "high", "spend", "plannerCost"])


def compared(runs: Frame, tag: str = "") -> list[Arm]:
    """Runs that were started with several planners, by the one each was assigned."""
    rows: list[Mapping[str, Any]] = runs[runs.plannerArms.map(bool)].to_dict("records") if len(runs) else []
    return measure_arms(rows, tag)
