"""Summaries: sums and first rows of purchases, decisions and runs, made of columns, and added to each other.

Two summaries of different runs add up to the summary of all of them: sums are exact (integers of atomic units, hours
as Decimal), and of every list the first TOP rows of the whole are among the first of its parts. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gpuagent.reports.columns import (
    NO_TIME,
    Table,
    added_up,
    edge_ms,
    first_rows,
    objects,
    plain,
    select,
    times_of,
)
from gpuagent.reports.figures import groups, spend, sums
from gpuagent.reports.frames import TIME, Frame, frame
from gpuagent.reports.ids import Ids
from gpuagent.reports.summary_rows import Array

TOP = 250
"""Rows of the lists of single runs and payments."""
Milliseconds: TypeAlias = npt.NDArray[np.int64]

SALE_KEY = ("settledAt", *spend.SALES)
TABLES: Mapping[str, Mapping[str, str]] = {
    "sales": {
        "settledAt": TIME,
        **dict.fromkeys(SALE_KEY[1:], "str"),
        **dict.fromkeys(spend.SALE_SUMS, "int64"),
        "hours": "object",
    },
    "answers": {
        "at": TIME,
        **dict.fromkeys(("planner", "model"), "str"),
        **dict.fromkeys(("decisions", "promptTokens", "completionTokens", "cost"), "int64"),
    },
    "groups": groups.OF_RUNS,
    "waste": spend.WASTE,
    "unpaid": spend.UNPAID,
    "arms": {
        **dict.fromkeys(("runId", "planner", "status"), "str"),
        **dict.fromkeys(("plannerArms", "tags"), "object"),
        **dict.fromkeys(("settled", "budgetTotal", "plannerCost"), "int64"),
        "createdAt": TIME,
    },
    "payments": {"jobId": "str", "settledAt": TIME, "createdAt": TIME},
    "budgets": {"runId": "str", "spent": "int64", "createdAt": TIME},
    "slowest": {"runId": "str", "ms": "int64", "jobs": "int64", "createdAt": TIME},
    "results": {"runId": "str", "cost": "int64", "createdAt": TIME},
    "unmatched": {"jobId": "str"},
}
"""Columns of the tables of a summary."""
GROUPED = {
    "sales": SALE_KEY,
    "answers": ("at", "planner", "model"),
    "groups": groups.OF_RUNS_KEY,
    "waste": ("vendorId", "cause"),
    "unpaid": ("vendorId", "cause"),
}
"""Tables of sums, and what they are grouped by."""
ORDERED: Mapping[str, tuple[tuple[str, ...], tuple[bool, ...]]] = {
    "payments": (("settledAt", "createdAt", "jobId"), (False, True, True)),
    "budgets": (("spent", "createdAt", "runId"), (False, True, True)),
    "slowest": (("ms", "createdAt", "runId"), (False, True, True)),
    "results": (("cost", "createdAt", "runId"), (False, True, True)),
}
"""Tables of the first rows, and their order."""
COUNTS = ("started", "ended", "completed", "delivered", "deliveredCost", "deliveredSaved")


@dataclass(frozen=True)
class Summary:
    """The summary of some runs within a window of time.

    columns: of tables as TABLES says. counts: as COUNTS says, in numbers and atomic units. twice: hours that were
    bought twice. times: of each run that succeeded the milliseconds that it took, in ascending order. first, last: the
    earliest and latest time of anything in it, first_spent: of what was spent, in milliseconds of Unix time, None for
    nothing.
    """

    columns: Mapping[str, Table]
    counts: Mapping[str, int]
    twice: Decimal
    times: Milliseconds
    first: int | None
    last: int | None
    first_spent: int | None

    @cached_property
    def tables(self) -> Mapping[str, Frame]:
        """The same columns as frames."""
        return {name: _frame(self.columns[name], columns) for name, columns in TABLES.items()}

    def within(self, since: pd.Timestamp, until: pd.Timestamp) -> bool:
        """Whether all that is in it happened then."""
        return self.first is None or self.last is None or (edge_ms(since) <= self.first and self.last < edge_ms(until))

    def outside(self, since: pd.Timestamp, until: pd.Timestamp) -> bool:
        """Whether nothing that is in it happened then."""
        return self.first is None or self.last is None or self.last < edge_ms(since) or self.first >= edge_ms(until)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of some runs, those that a summary needs. whole: their purchases, whoever the vendor.

    In them, runId and jobId are places in run_ids, which are in order, and job_ids. jobs: by leaf, the number of all
    that were read, whoever the vendor, and their cost in atomic units.
    """

    runs: Table
    purchases: Table
    whole: Table
    decisions: Table
    unmatched: Sequence[str]
    run_ids: Ids
    job_ids: Ids
    jobs: Mapping[int, tuple[int, int]]


def summarise(rows: Rows, since: pd.Timestamp, until: pd.Timestamp, unit: str) -> Summary:
    """The summary of what happened in [since, until). unit: D or h, by which times of spending are grouped."""

    def within(times: Array) -> Array:
        inside: Array = (times >= edge_ms(since)) & (times < edge_ms(until))
        return inside

    purchases, whole, runs = sums.counted(rows.purchases), rows.whole, len(rows.run_ids)
    paid = select(purchases, purchases["state"].are("settled") & within(purchases["settledAt"]))
    voided = select(purchases, purchases["state"].are("voided") & within(purchases["createdAt"]))
    decisions = select(rows.decisions, within(rows.decisions["at"]))
    started = select(rows.runs, within(rows.runs["createdAt"]))
    slow = sums.successes(started, purchases, runs)
    results, twice = sums.results(started, whole, runs)
    tables: dict[str, Table] = {
        "sales": sums.sales(paid, unit),
        "answers": sums.answers(decisions, unit),
        "groups": sums.of_runs(paid, decisions, rows.runs, unit),
        "waste": sums.waste(paid),
        "unpaid": sums.unpaid(voided),
        "arms": select(started, started["plannerArms"].where(bool)),
        "payments": paid,
        "budgets": {**started, "spent": started["settled"] + started["plannerCost"]},
        "slowest": slow,
        "results": results,
        "unmatched": {"jobId": objects(rows.unmatched)},
    }
    times = [rows.runs["createdAt"], rows.decisions["at"]]
    times += [whole[name] for name in ("createdAt", "signedAt", "settledAt", "completedAt")]
    ended = ~started["status"].are("running")
    return Summary(
        {name: _shown(name, tables[name], rows) for name in TABLES},
        {
            "started": len(ended),
            "ended": int(ended.sum()),
            "completed": int(started["status"].are("completed").sum()),
            "delivered": len(results["cost"]),
            "deliveredCost": int(results["cost"].sum()),
            "deliveredSaved": int(results["saved"].sum()),
        },
        twice,
        np.sort(slow["ms"]),
        *_limits(times),
        _limits([paid["settledAt"], decisions["at"]])[0],
    )


def _shown(name: str, table: Table, rows: Rows) -> dict[str, Any]:
    """The columns and the first rows of a table, with the ids that their numbers stand for."""
    table = {column: table[column] for column in TABLES[name]}
    if name == "unmatched":
        return table
    if name in ORDERED:
        ids = rows.run_ids if "runId" in table else rows.job_ids
        number = table[ORDERED[name][0][-1]]
        keys = [*_keys(name, table)[:-1], ids.array["high"][number], ids.array["low"][number]]
        table = select(table, first_rows(keys, TOP))
    ids_of = {"runId": rows.run_ids, "jobId": rows.job_ids}
    texts = {column: objects(ids.texts(table[column])) for column, ids in ids_of.items() if column in table}
    return {**{column: plain(values) for column, values in table.items()}, **texts}


def _keys(name: str, table: Table) -> list[Array]:
    """What the rows of a table are in order by."""
    columns, ascending = ORDERED[name]
    return [table[column] if rises else -table[column] for column, rises in zip(columns, ascending, strict=True)]


def _limits(times: Sequence[Array]) -> tuple[int | None, int | None]:
    """The earliest and the latest."""
    moments = np.concatenate(times)
    moments = moments[moments > NO_TIME]
    return (int(moments.min()), int(moments.max())) if len(moments) else (None, None)


def added(summaries: Sequence[Summary]) -> Summary:
    """The summary of all the runs of these. No run may be in two of them."""
    parts = list(summaries)
    if len(parts) == 1:
        return parts[0]
    return Summary(
        {name: _table(name, [part.columns[name] for part in parts]) for name in TABLES},
        {name: sum(part.counts[name] for part in parts) for name in COUNTS},
        sum((part.twice for part in parts), Decimal(0)),
        np.sort(np.concatenate([np.empty(0, "int64"), *(part.times for part in parts)]), kind="stable"),
        min((part.first for part in parts if part.first is not None), default=None),
        max((part.last for part in parts if part.last is not None), default=None),
        min((part.first_spent for part in parts if part.first_spent is not None), default=None),
    )


def _table(name: str, parts: Sequence[Table]) -> Table:
    empty = {column: np.empty(0, dtype_of(kind)) for column, kind in TABLES[name].items()}
    table = {column: np.concatenate([empty[column], *(part[column] for part in parts)]) for column in empty}
    if name in GROUPED:
        return added_up(table, GROUPED[name], [column for column in table if column not in GROUPED[name]])
    return select(table, first_rows(_keys(name, table), TOP)) if name in ORDERED else table


def dtype_of(kind: str) -> str:
    """Of a column that a frame has as this kind: texts are objects, and times whole numbers."""
    return "object" if kind in ("str", "object") else "int64"


def _frame(table: Table, columns: Mapping[str, str]) -> Frame:
    times = {name: times_of(table[name]) for name, kind in columns.items() if kind == TIME}
    return frame(pd.DataFrame({**table, **times}, columns=list(columns)), columns)
