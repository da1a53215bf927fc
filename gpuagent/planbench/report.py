"""A comparison for people and programs: rich tables, JSON values, CSV, a DataFrame. Draws what it is given."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from gpuagent.core.money import show_usd
from gpuagent.errors import BadInput
from gpuagent.planbench.compare import BAYES, BOUNDS, Comparison
from gpuagent.planbench.play import Play
from gpuagent.planbench.scores import ALL, GROUPINGS, Pair, Row, pairs, rows
from gpuagent.planbench.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

PLAY_FIELDS = ("scenario", "variant", "replicate", "family", "planner", "complete", "spend", "utility", "invalid")
COST_FIELDS = ("refused", "worst_ms", "planner_cost")


def check(by: str, against: str, planners: Sequence[str]) -> None:
    """Raises BadInput for what no report can show, before anything is played."""
    if by not in GROUPINGS:
        raise BadInput(f"no grouping {by!r}: write family or scenario")
    if against and against not in planners and list(planners) != ["all"]:
        raise BadInput(f"no planner {against!r} is played; there are: {', '.join(planners)}")


def all_table(found: Iterable[Row]) -> Table:
    """The ALL row of each planner, best first; the bounds above them. What is zero for everybody is left out."""
    shown = sorted(
        (row for row in found if row.group == ALL), key=lambda row: (row.planner not in BOUNDS, -row.utility)
    )
    files = max((row.files for row in shown), default=0)
    title = f"ALL: {files} scenario files; done: share completed; points lost to Bayes (95 %); call: the slowest"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))  # fits 80 columns
    columns: dict[str, Callable[[Row], str]] = {
        "planner": lambda row: row.planner if row.files == files else f"{row.planner} ({row.files} files)",
        "done": lambda row: f"{row.complete:.1%}",
        "spend": lambda row: f"{row.spend:.1%}",
        "U": lambda row: f"{row.utility:.4f}",
        "points lost": lambda row: points(row.lost) if row.lost and row.planner != BAYES else "",
        "of U": lambda row: f"{row.lost_share:.2%}" if row.lost_share is not None and row.planner != BAYES else "",
        "invalid": lambda row: "" if row.planner in BOUNDS else str(row.invalid),
        "call": lambda row: "" if row.planner in BOUNDS else f"{row.worst_ms:.0f} ms",
    }
    if any(row.refused for row in shown):
        columns["refused"] = lambda row: "" if row.planner in BOUNDS else str(row.refused)
    if any(row.planner_cost for row in shown):
        columns["cost"] = lambda row: show_usd(row.planner_cost) if row.planner_cost else ""
    for name in columns:
        table.add_column(name, justify="left" if name == "planner" else "right", no_wrap=True)
    for row in shown:
        table.add_row(*(cell(row) for cell in columns.values()), style="dim" if row.planner in BOUNDS else "")
    return table


def group_table(found: Iterable[Row], title: str) -> Table:
    """Points lost to Bayes, a line per family or scenario, a column per planner."""
    found = [row for row in found if row.planner != BAYES]
    planners = list(dict.fromkeys(row.planner for row in found if row.planner not in BOUNDS))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("files")
    for planner in planners:
        table.add_column(planner, justify="right")
    for group in dict.fromkeys(row.group for row in found):
        cells = {row.planner: row for row in found if row.group == group}
        lost = [cells[name].lost if name in cells else None for name in planners]
        files = max((row.files for row in cells.values()), default=0)
        table.add_row(group, str(files), *(f"{100 * one.mean:.2f}" if one else "" for one in lost))
    return table


def pair_table(found: Iterable[Pair]) -> Table:
    table = Table(
        title="Paired, in points of U (95 %); needed: files to see two points at 80 % power",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("planner", "against", "difference", "files", "needed", "McNemar"):
        table.add_column(column, no_wrap=True)
    for pair in found:
        test = pair.mcnemar
        table.add_row(
            pair.first,
            pair.second,
            points(pair.difference),
            str(pair.difference.cases),
            "" if pair.needed is None else str(pair.needed),
            f"{test.only_first} : {test.only_second}, p={test.p:.3g}" if test else "",
        )
    return table


def points(interval: Interval) -> str:
    return f"{100 * interval.mean:+.2f} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def tables(comparison: Comparison, by: str = "", against: str = "") -> list[Table | Text]:
    found = rows(comparison, by)
    shown: list[Table | Text] = [all_table(found)]
    if by:
        shown += [Text(""), group_table(found, f"Points lost to Bayes by {by}")]
    if versus := pairs(comparison, against):
        shown += [Text(""), pair_table(versus)]
    if comparison.stopped:
        shown += [Text(f"\n{comparison.stopped}", style="yellow")]
    return shown


def as_json(comparison: Comparison, by: str = "", against: str = "") -> dict[str, Any]:
    """Utilities and shares as numbers, planner costs as strings of atomic units."""
    found = [{**asdict(row), "planner_cost": str(row.planner_cost)} for row in rows(comparison, by)]
    return {
        "mode": comparison.mode,
        "stopped": comparison.stopped,
        "rows": [_camel(row) for row in found],
        "pairs": [_camel(asdict(pair)) for pair in pairs(comparison, against)],
    }


def as_csv(comparison: Comparison) -> str:
    """One line per play."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_camel(dict.fromkeys((*PLAY_FIELDS, *COST_FIELDS))))
    writer.writerows(_values(play) for play in comparison.plays)
    return text.getvalue()


def plays_frame(comparison: Comparison) -> "pd.DataFrame":
    """One row per play, for notebooks: columns as in the CSV."""
    import pandas as pd

    columns = list(_camel(dict.fromkeys((*PLAY_FIELDS, *COST_FIELDS))))
    return pd.DataFrame([_values(play) for play in comparison.plays], columns=columns)


def rows_frame(comparison: Comparison, by: str = "") -> "pd.DataFrame":
    """One row per planner and group; points lost to Bayes with their interval as lost, lostLow, lostHigh."""
    import pandas as pd

    found = []
    for row in rows(comparison, by):
        values = {key: value for key, value in asdict(row).items() if key != "lost"}
        lost = row.lost
        values |= {"lost": lost and lost.mean, "lost_low": lost and lost.low, "lost_high": lost and lost.high}
        found.append(_camel(values))
    return pd.DataFrame(found)


def _values(play: Play) -> list[Any]:
    return [getattr(play, name) for name in (*PLAY_FIELDS, *COST_FIELDS)]


def _camel(values: dict[str, Any]) -> dict[str, Any]:
    def name(key: str) -> str:
        first, *others = key.split("_")
        return first + "".join(map(str.capitalize, others))

    return {name(key): _camel(value) if isinstance(value, dict) else value for key, value in values.items()}
