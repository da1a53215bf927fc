"""A/B comparison in production: runs that were started with several planners, by the planner each was assigned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gpuagent.core.money import show_usd
from gpuagent.core.status import planner_label
from gpuagent.planbench.labels import planner_note
from gpuagent.planbench.statistics import Interval, bootstrap, wilson

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Arm:
    """One planner's runs. The intervals are over ended runs, None while there is none.

    complete: share of runs that completed. spend and planner_cost: means of a run, in atomic units. share: spend by
    budget.
    """

    planner: str
    runs: int
    ended: int
    complete: Interval | None
    spend: Interval | None
    share: Interval | None
    planner_cost: Interval | None


def measure_arms(runs: Iterable[Mapping[str, Any]], tag: str = "") -> list[Arm]:
    """The arms of run documents as render.run.plain() gives them. tag: only runs with this tag.

    Runs without plannerArms belong to no comparison. A run is assigned by its id alone, so that the arms differ by
    chance only.
    """
    assigned_runs = [run for run in runs if run.get("plannerArms") and (not tag or tag in run.get("tags", ()))]
    planners = {arm["planner"] for run in assigned_runs for arm in run["plannerArms"]}
    return [_arm(name, [run for run in assigned_runs if run["planner"] == name]) for name in sorted(planners)]


def arms_json(arms: Iterable[Arm]) -> dict[str, Any]:
    """Shares and intervals as numbers; spend and plannerCost are means, in atomic units."""
    from pydantic.alias_generators import to_camel

    return {"arms": [{to_camel(key): value for key, value in asdict(arm).items()} for arm in arms]}


def arms_table(arms: Sequence[Arm]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    note = planner_note(arm.planner for arm in arms)
    table = Table(box=None, pad_edge=False, caption=note or None, caption_justify="left")
    for column in ("planner", "runs", "ended", "completed (95 %)", "spend a run (95 %)", "of budget", "planner cost"):
        table.add_column(column)
    for arm in arms:
        table.add_row(escape(planner_label(arm.planner)), str(arm.runs), str(arm.ended), *_cells(arm))
    return table


def _cells(arm: Arm) -> Sequence[str]:
    if not (arm.complete and arm.spend and arm.share and arm.planner_cost):
        return "", "", "", ""
    return (
        f"{arm.complete.mean:.1%} [{arm.complete.low:.1%}, {arm.complete.high:.1%}]",
        f"{_usd(arm.spend.mean)} [{_usd(arm.spend.low)}, {_usd(arm.spend.high)}]",
        f"{arm.share.mean:.1%}",
        _usd(arm.planner_cost.mean),
    )


def _arm(name: str, runs: list[Mapping[str, Any]]) -> Arm:
    ended_runs = [run for run in runs if run["status"] != "running"]
    if not ended_runs:
        return Arm(name, len(runs), 0, None, None, None, None)
    amounts = [int(run["settled"]) for run in ended_runs]
    shares = [amount / int(run["budgetTotal"]) for amount, run in zip(amounts, ended_runs, strict=True)]
    return Arm(
        planner=name,
        runs=len(runs),
        ended=len(ended_runs),
        complete=wilson(sum(run["status"] == "completed" for run in ended_runs), len(ended_runs)),
        spend=bootstrap(amounts),
        share=bootstrap(shares),
        planner_cost=bootstrap([int(run["plannerCost"]) for run in ended_runs]),
    )


def _usd(amount: float) -> str:
    return show_usd(round(amount))
