"""A/B in production: runs that were started with several planners, each by the one it was assigned."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from gpuagent.core.money import show_usd
from gpuagent.planbench.statistics import Interval, bootstrap, wilson

_CAMEL = {"planner_cost": "plannerCost"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One planner's runs. complete: their share that completed; spend and planner_cost: atomic units a run, mean;
    share: spend by budget. All of ended runs, None while there is none.
    """

    planner: str
    runs: int
    ended: int
    complete: Interval | None
    spend: Interval | None
    share: Interval | None
    planner_cost: Interval | None


def arms(runs: Iterable[Mapping[str, Any]], tag: str = "") -> list[Arm]:
    """Of run documents as show.plain() gives them. Runs without plannerArms belong to no comparison.

    A run was assigned by its id alone, so that the arms differ by chance only. tag: runs with this tag.
    """
    compared = [run for run in runs if run.get("plannerArms") and (not tag or tag in run.get("tags", ()))]
    names = {arm["planner"] for run in compared for arm in run["plannerArms"]}
    return [_arm(name, [run for run in compared if run["planner"] == name]) for name in sorted(names)]


def as_json(found: Iterable[Arm]) -> dict[str, Any]:
    """Shares and intervals as numbers; spend and plannerCost are means, in atomic units."""
    return {"arms": [{_CAMEL.get(key, key): value for key, value in asdict(arm).items()} for arm in found]}


def arms_table(found: Iterable[Arm]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("planner", "runs", "ended", "completed (95 %)", "spend a run (95 %)", "of budget", "planner cost"):
        table.add_column(column)
    for arm in found:
        cells = ["", "", "", ""]
        if arm.complete and arm.spend and arm.share and arm.planner_cost:
            cells = [
                f"{arm.complete.mean:.1%} [{arm.complete.low:.1%}, {arm.complete.high:.1%}]",
                f"{_usd(arm.spend.mean)} [{_usd(arm.spend.low)}, {_usd(arm.spend.high)}]",
                f"{arm.share.mean:.1%}",
                _usd(arm.planner_cost.mean),
            ]
        table.add_row(escape(arm.planner), str(arm.runs), str(arm.ended), *cells)
    return table


def _arm(name: str, runs: list[Mapping[str, Any]]) -> Arm:
    ended = [run for run in runs if run["status"] != "running"]
    if not ended:
        return Arm(name, len(runs), 0, None, None, None, None)
    spent = [int(run["settled"]) for run in ended]
    shares = [amount / int(run["budgetTotal"]) for amount, run in zip(spent, ended, strict=True)]
    return Arm(
        planner=name,
        runs=len(runs),
        ended=len(ended),
        complete=wilson(sum(run["status"] == "completed" for run in ended), len(ended)),
        spend=bootstrap(spent),
        share=bootstrap(shares),
        planner_cost=bootstrap([int(run["plannerCost"]) for run in ended]),
    )


def _usd(amount: float) -> str:
    return show_usd(round(amount))
