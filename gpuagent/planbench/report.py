"""Reports of a comparison: rich tables, JSON values, CSV, DataFrames."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel
from rich.table import Table
from rich.text import Text

from gpuagent.core.money import show_usd, usd
from gpuagent.core.status import planner_label
from gpuagent.core.text import spreadsheet_text
from gpuagent.errors import BadInput
from gpuagent.planbench.compare import BAYES, BOUNDS, ORACLE, Comparison
from gpuagent.planbench.labels import planner_note
from gpuagent.planbench.play import Play
from gpuagent.planbench.scores import GROUPINGS, Pair, Row, like_with_like, overall, pairs, rows, several
from gpuagent.planbench.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

PLAY_FIELDS = (
    "scenario",
    "variant",
    "replicate",
    "family",
    "planner",
    "complete",
    "spend",
    "utility",
    "jobs",
    "jobs_done",
    "paid",
    "invalid",
    "refused",
    "worst_ms",
    "planner_cost",
)
COLUMNS = [to_camel(field) for field in PLAY_FIELDS]
"""The columns of the CSV and of the DataFrame of plays."""


def check_options(by: str, against: str, planners: Sequence[str]) -> None:
    """Raises BadInput for options that no report can show, before anything is played."""
    if by not in GROUPINGS:
        raise BadInput(f"no grouping {by!r}: write family or scenario")
    if against and against not in planners and list(planners) != ["all"]:
        raise BadInput(f"no planner {against!r} is played; there are: {', '.join(planners)}")


def overall_table(scores: Iterable[Row]) -> Table:
    """The ALL row of each planner, best first; the bounds above them. Columns of zeros are left out."""
    ranked = overall(row for row in scores if row.planner != ORACLE)  # it knows luck: several_table() has it
    files = max((row.files for row in ranked), default=0)
    title = f"ALL: {files} scenario files; done: share completed; points lost to Bayes (95 %); call: the slowest"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))  # fits 80 columns
    columns: dict[str, Callable[[Row], str]] = {
        "planner": lambda row: planner_label(row.planner) + ("" if row.files == files else f" ({row.files} files)"),
        "done": lambda row: f"{row.complete:.1%}",
        "spend": lambda row: f"{row.spend:.1%}",
        "U": lambda row: f"{row.utility:.4f}",
        "points lost": lambda row: points(row.lost) if row.lost and row.planner != BAYES else "",
        "of U": lambda row: f"{row.lost_share:.2%}" if row.lost_share is not None and row.planner != BAYES else "",
        "invalid": lambda row: "" if row.planner in BOUNDS else str(row.invalid),
        "call": lambda row: "" if row.planner in BOUNDS else f"{row.worst_ms:.0f} ms",
    }
    if any(row.refused for row in ranked):
        columns["refused"] = lambda row: "" if row.planner in BOUNDS else str(row.refused)
    if any(row.planner_cost for row in ranked):
        columns["cost"] = lambda row: show_usd(row.planner_cost) if row.planner_cost else ""
    for name in columns:
        table.add_column(name, justify="left" if name == "planner" else "right", no_wrap=True)
    for row in ranked:
        table.add_row(*(cell(row) for cell in columns.values()), style="dim" if row.planner in BOUNDS else "")
    return table


def several_table(scores: Iterable[Row]) -> Table:
    """The ALL row of each planner over runs with several jobs, best first: how many complete, and what that costs."""
    ranked = overall(scores)
    files = max((row.files for row in ranked), default=0)
    title = f"Several jobs: {files} files; means of a run; behind the oracle: points of U (95 %)"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))  # fits 80 columns
    for name in ("planner", "completed", "all", "cost", "a job", "U", "behind"):
        table.add_column(name, justify="left" if name == "planner" else "right", no_wrap=True)
    for row in ranked:
        behind = points(row.behind, 1) if row.behind and row.planner != ORACLE else ""
        table.add_row(
            planner_label(row.planner),
            jobs_done(row),
            f"{row.complete:.1%}",
            show_cents(row.paid),
            show_cents(row.paid / row.jobs_done) if row.jobs_done else "–",
            f"{row.utility:.4f}",
            behind,
            style="dim" if row.planner in BOUNDS else "",
        )
    return table


def jobs_done(row: Row) -> str:
    """The completed jobs of a run out of those that it has to complete, as means."""
    return f"{row.jobs_done:.2f} of {row.jobs:.2f}"


def show_cents(amount: float) -> str:
    """A mean of amounts in atomic units, in USD and cents."""
    return f"{usd(round(amount)):.2f} USD"


def group_table(scores: Iterable[Row], title: str) -> Table:
    """Points lost to Bayes, a line per family or scenario, a column per planner."""
    scores = [row for row in scores if row.planner != BAYES]
    planners = list(dict.fromkeys(row.planner for row in scores if row.planner not in BOUNDS))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("files")
    for planner in planners:
        table.add_column(planner_label(planner), justify="right")
    for group in dict.fromkeys(row.group for row in scores):
        cells = {row.planner: row for row in scores if row.group == group}
        lost = [cells[name].lost if name in cells else None for name in planners]
        files = max((row.files for row in cells.values()), default=0)
        table.add_row(group, str(files), *(f"{100 * interval.mean:.2f}" if interval else "" for interval in lost))
    return table


def pair_table(differences: Iterable[Pair]) -> Table:
    table = Table(
        title="Paired, in points of U (95 %); needed: files to see two points at 80 % power",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("planner", "against", "difference", "files", "needed", "McNemar"):
        table.add_column(column, no_wrap=True)
    for pair in differences:
        test = pair.mcnemar
        table.add_row(
            planner_label(pair.first),
            planner_label(pair.second),
            points(pair.difference),
            str(pair.difference.cases),
            "" if pair.needed is None else str(pair.needed),
            f"{test.only_first} : {test.only_second}, p={test.p:.3g}" if test else "",
        )
    return table


def points(interval: Interval, digits: int = 2) -> str:
    """An interval of shares as percentage points."""
    mean, low, high = (f"{100 * share:+.{digits}f}" for share in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def tables(comparison: Comparison, by: str = "", against: str = "") -> list[Table | Text]:
    """The tables of a comparison, in the order to print them."""
    alike = like_with_like(comparison)
    scores, of_several = rows(alike, by), several(alike)
    parts: list[Table | Text] = [overall_table(scores)]
    if of_several.plays:
        parts += [Text(""), several_table(rows(of_several))]
    if by:
        parts += [Text(""), group_table(scores, f"Points lost to Bayes by {by}")]
    if differences := pairs(comparison, against):
        parts += [Text(""), pair_table(differences)]
    if note := planner_note(comparison.planners()):
        parts += [Text(f"\n{note}", style="dim")]
    if comparison.stopped:
        parts += [Text(f"\n{comparison.stopped}", style="yellow")]
    return parts


def as_json(comparison: Comparison, by: str = "", against: str = "") -> dict[str, Any]:
    """Utilities and shares as numbers, amounts as strings of atomic units. several: the ALL rows of such runs alone."""
    return {
        "mode": comparison.mode,
        "stopped": comparison.stopped,
        "rows": _rows_json(rows(comparison, by)),
        "several": _rows_json(rows(several(comparison))),
        "pairs": [_camel_keys(asdict(pair)) for pair in pairs(comparison, against)],
    }


def _rows_json(scores: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        _camel_keys({**asdict(row), "planner_cost": str(row.planner_cost), "paid": str(round(row.paid))})
        for row in scores
    ]


def as_csv(comparison: Comparison) -> str:
    """One line per play."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for play in comparison.plays:
        writer.writerow([spreadsheet_text(value) if isinstance(value, str) else value for value in _values(play)])
    return text.getvalue()


def plays_frame(comparison: Comparison) -> "pd.DataFrame":
    """One row per play, for notebooks: columns as in the CSV."""
    import pandas as pd

    return pd.DataFrame([_values(play) for play in comparison.plays], columns=COLUMNS)


def rows_frame(comparison: Comparison, by: str = "") -> "pd.DataFrame":
    """One row per planner and group; points lost to Bayes with their interval as lost, lostLow, lostHigh;
    behind the oracle likewise."""
    import pandas as pd

    records = []
    for row in rows(comparison, by):
        values = {key: value for key, value in asdict(row).items() if key not in ("lost", "behind")}
        lost, behind = row.lost, row.behind
        values |= {"lost": lost and lost.mean, "lost_low": lost and lost.low, "lost_high": lost and lost.high}
        values |= {"behind": behind and behind.mean, "behind_low": behind and behind.low}
        values |= {"behind_high": behind and behind.high, "paid": round(row.paid)}
        records.append(_camel_keys(values))
    return pd.DataFrame(records)


def _values(play: Play) -> list[Any]:
    return [round(play.paid) if field == "paid" else getattr(play, field) for field in PLAY_FIELDS]


def _camel_keys(values: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(key): _camel_keys(value) if isinstance(value, dict) else value for key, value in values.items()}
