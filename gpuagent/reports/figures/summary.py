"""Summaries: sums and first rows of purchases, decisions and runs, made of frames, and added to each other.

Two summaries of different runs add up to the summary of all of them: sums are exact (integers of atomic units, hours
as Decimal), and of every list the first TOP rows of the whole are among the first of its parts. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gpuagent.reports.figures import delivery, groups, runs, spend
from gpuagent.reports.frames import TIME, Frame, frame
from gpuagent.reports.ids import Ids

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


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of some runs within a window of time.

    tables: as TABLES says. counts: as COUNTS says, in numbers and atomic units. twice: hours that were bought twice.
    times: of each run that succeeded the milliseconds that it took, in ascending order. first, last: the earliest and
    latest time of anything in it, first_spent: of what was spent, in milliseconds of Unix time, None for nothing.
    """

    tables: Mapping[str, Frame]
    counts: Mapping[str, int]
    twice: Decimal
    times: Milliseconds
    first: int | None
    last: int | None
    first_spent: int | None

    def within(self, since: pd.Timestamp, until: pd.Timestamp) -> bool:
        """Whether all that is in it happened then."""
        return self.first is None or self.last is None or (_ms(since) <= self.first and self.last < _ms(until))

    def outside(self, since: pd.Timestamp, until: pd.Timestamp) -> bool:
        """Whether nothing that is in it happened then."""
        return self.first is None or self.last is None or self.last < _ms(since) or self.first >= _ms(until)


@dataclass(frozen=True, slots=True)
class Rows:
    """Frames of some runs, with the columns that a summary needs. whole: their purchases, whoever the vendor.

    In them, runId and jobId are places in run_ids and job_ids. jobs: by leaf, the number of all that were read, whoever
    the vendor, and their cost in atomic units.
    """

    runs: Frame
    purchases: Frame
    whole: Frame
    decisions: Frame
    unmatched: Sequence[str]
    run_ids: Ids
    job_ids: Ids
    jobs: Mapping[int, tuple[int, int]]


def summarise(rows: Rows, since: pd.Timestamp, until: pd.Timestamp, unit: str) -> Summary:
    """The summary of what happened in [since, until). unit: D or h, by which times of spending are grouped."""
    paid = spend.paid_in(rows.purchases, since, until)
    decisions = spend.decisions_in(rows.decisions, since, until)
    started = runs.started_in(rows.runs, since, until)
    slow = runs.successes(started, rows.purchases)
    slow = slow.assign(ms=(slow.seconds * 1000).round().astype("int64"))
    results = delivery.totals(started[(started.status == "completed") & started.needed.notna()], rows.whole)
    tables = {
        "sales": spend.sales(paid, unit),
        "answers": spend.answers(decisions, unit),
        "groups": groups.of_runs(paid, decisions, rows.runs, unit),
        "waste": spend.waste(paid),
        "unpaid": spend.unpaid_in(rows.purchases, since, until),
        "arms": _arms(started),
        "payments": paid,
        "budgets": started.assign(spent=started.settled + started.plannerCost),
        "slowest": slow,
        "results": results,
        "unmatched": pd.DataFrame({"jobId": list(rows.unmatched)}),
    }
    spent = [*_limits(paid.settledAt), *_limits(decisions["at"])]
    columns = [rows.runs.createdAt, rows.decisions["at"]]
    columns += [rows.whole[name] for name in ("createdAt", "signedAt", "settledAt", "completedAt")]
    times = [limit for column in columns for limit in _limits(column)]
    return Summary(
        {name: _first_rows(name, frame(_named(name, tables[name], rows), TABLES[name])) for name in TABLES},
        {
            "started": len(started),
            "ended": int((started.status != "running").sum()),
            "completed": int((started.status == "completed").sum()),
            "delivered": len(results),
            "deliveredCost": int(results.cost.sum()),
            "deliveredSaved": int(results.saved.sum()),
        },
        sum(results.twice, Decimal(0)),
        np.sort(slow.ms.to_numpy()),
        min(times, default=None),
        max(times, default=None),
        min(spent, default=None),
    )


def _arms(started: Frame) -> Frame:
    """The runs whose planner was assigned at random."""
    table = started[started.plannerArms.notna()][list(TABLES["arms"])]
    return table.assign(tags=table.tags.map(lambda tags: list(tags or ())))


def _named(name: str, table: Frame, rows: Rows) -> Frame:
    """The rows of a table that may be among its first, with the ids that their numbers stand for."""
    table = table[list(TABLES[name])]
    if name in ORDERED:
        (by, *_), (ascending, *_) = ORDERED[name]
        if len(table) > TOP:
            keys = table[by].astype("int64").to_numpy() * (1 if ascending else -1)
            table = table[keys <= np.partition(keys, TOP - 1)[TOP - 1]]
    ids = {"runId": rows.run_ids, "jobId": rows.job_ids}
    numbered = [column for column in ids if column in TABLES[name] and name != "unmatched"]
    return table.assign(**{column: ids[column].texts(table[column].to_numpy()) for column in numbered})


def _limits(times: "pd.Series[Any]") -> list[int]:
    """The earliest and the latest, in milliseconds."""
    return [_ms(moment) for moment in (times.min(), times.max()) if not pd.isna(moment)]


def _ms(moment: pd.Timestamp) -> int:
    return int(moment.value) // 1_000_000


def added(summaries: Sequence[Summary]) -> Summary:
    """The summary of all the runs of these. No run may be in two of them."""
    parts = list(summaries)
    if len(parts) == 1:
        return parts[0]
    return Summary(
        {name: _table(name, [part.tables[name] for part in parts]) for name in TABLES},
        {name: sum(part.counts[name] for part in parts) for name in COUNTS},
        sum((part.twice for part in parts), Decimal(0)),
        np.sort(np.concatenate([np.empty(0, "int64"), *(part.times for part in parts)]), kind="stable"),
        min((part.first for part in parts if part.first is not None), default=None),
        max((part.last for part in parts if part.last is not None), default=None),
        min((part.first_spent for part in parts if part.first_spent is not None), default=None),
    )


def _table(name: str, parts: Sequence[Frame]) -> Frame:
    columns = TABLES[name]
    filled = [part for part in parts if len(part)]
    if not filled:
        return frame([], columns)
    table = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    if name in GROUPED and len(filled) > 1:
        table = frame(table.groupby(list(GROUPED[name]), as_index=False).sum(), columns)
    return _first_rows(name, table)


def _first_rows(name: str, table: Frame) -> Frame:
    if name not in ORDERED:
        return table
    by, ascending = ORDERED[name]
    return table.sort_values(list(by), ascending=list(ascending), kind="stable", ignore_index=True).head(TOP)
