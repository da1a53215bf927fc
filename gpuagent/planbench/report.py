"""A comparison for people and programs: rich tables, JSON values, CSV, a DataFrame. Draws what it is given."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from gpuagent.money import show_usd
from gpuagent.planbench.compare import ALL, BAYES, BOUNDS, Comparison, Pair, Row, pairs, rows
from gpuagent.planbench.play import Play
from gpuagent.planbench.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

PLAY_FIELDS = ("scenario", "variant", "replicate", "family", "planner", "complete", "spend", "utility", "invalid")
COST_FIELDS = ("refused", "worst_ms", "planner_cost")


def all_table(found: Iterable[Row]) -> Table:
    """The ALL row of each planner, best first; the bounds above them."""
    table = Table(title="All scenarios", title_justify="left", box=None, pad_edge=False)
    for column in ("planner", "files"):
        table.add_column(column)
    for column in ("complete", "spend", "U", "points lost to Bayes", "of U", "invalid", "refused", "worst call", "cost"):
        table.add_column(column, justify="right")
    shown = [row for row in found if row.group == ALL]
    for row in sorted(shown, key=lambda row: (row.planner not in BOUNDS, -row.utility)):
        bound = row.planner in BOUNDS
        cells = ["", "", "", ""] if bound else _costs(row)
        lost = "" if row.planner == BAYES or row.lost is None else points(row.lost)
        share = "" if row.planner == BAYES or row.lost_share is None else f"{row.lost_share:.2%}"
        table.add_row(
            row.planner,
            str(row.files),
            f"{row.complete:.1%}",
            f"{row.spend:.1%}",
            f"{row.utility:.4f}",
            lost,
            share,
            *cells,
            style="dim" if bound else "",
        )
    return table


def _costs(row: Row) -> list[str]:
    cost = show_usd(row.planner_cost) if row.planner_cost else ""
    return [str(row.invalid), str(row.refused), f"{row.worst_ms:.0f} ms", cost]


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
    table = Table(title="Paired, in points of U (95 % interval)", title_justify="left", box=None, pad_edge=False)
    for column in ("planner", "against", "difference", "files", "files needed for 2 points", "McNemar"):
        table.add_column(column)
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


