"""The summaries of a report: those that were kept where nothing has changed since, all others made of the runs' rows.

What is kept is derived, and believed only with the signature that its partition has in the report's own snapshot:
whatever changes, and whoever deletes it, costs time alone. A user who may only read keeps none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, TypeAlias, TypeVar

import pandas as pd

from gpuagent.core.records import ReportScope
from gpuagent.errors import StoreError
from gpuagent.reports.figures.summary import Rows, Summary, added, decoded, encoded, summarise
from gpuagent.reports.frames import (
    DECISIONS,
    JOBS,
    PAYMENTS,
    PURCHASES,
    RUNS,
    TIME,
    Frame,
    frame,
    purchases_of,
    with_token_counts,
)
from gpuagent.reports.partitions import SIZES, Partition, Sizes, joined, partitions_of
from gpuagent.reports.period import Period
from gpuagent.reports.stream import StreamedRows

READERS = 2
"""Threads that bring what is kept up to date: one waits for the database while the other adds up."""
A_SNAPSHOT = 12
"""Partitions that are read in one snapshot, which a server keeps for some minutes only."""
OVER = {("settled", "completed"), ("voided", "failed"), ("voided", "")}
"""State of a job and status of its payment, where the records agree that nothing is left to be decided."""


def _narrow(kinds: Mapping[str, str], *names: str) -> Mapping[str, str]:
    """The columns with these names. Texts stay Python's own: to make columns of them takes longer than to add up."""
    return {name: "object" if kinds[name] == "str" else kinds[name] for name in names}


RUN = {**_narrow(RUNS, "runId", "status", "createdAt", "settled", "plannerCost"), "needed": "float64", "arms": "object"}
JOB = {
    **_narrow(JOBS, "jobId", "runId", "protocol", "gpuType", "hours", "vendorId", "state", "status"),
    **_narrow(
        JOBS, "expectedCost", "actualCost", "createdAt", "settledAt", "completedAt", "hoursSaved", "errorMessage"
    ),
}
PAYMENT = _narrow(PAYMENTS, "jobId", "runId", "paymentStatus", "signedAt", "refunded", "credit")
PURCHASE = {**JOB, **PAYMENT, **_narrow(PURCHASES, "refunded", "paid", "cost", "saved")}
Columns: TypeAlias = Mapping[str, list[Any]]
Count: TypeAlias = Callable[[int], None]
"""Called with the number of rows of each batch that is read."""
ALL_RUNS = ("0" * 24, "f" * 24)
EVER = (pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC"))
T = TypeVar("T")
Window: TypeAlias = tuple[pd.Timestamp, pd.Timestamp]


def uncounted(rows: int) -> None:
    """Counts nothing."""


class SummaryRows(StreamedRows, Protocol):
    """The rows of ranges of runs, as columns, and what is kept of them; each method raises StoreError.

    first, end: ids of runs, first <= id < end. run_ids: in their order. In columns of times: milliseconds.
    """

    def run_counts(self, scope: ReportScope, first: str, end: str) -> Mapping[int, tuple[int, int]]:
        """By leaf, the number of runs of the network, the user and the tag, and the sum of their versions."""
        ...

    def touched_leaves(self, scope: ReportScope) -> set[int]: ...

    def later_changes(self, first: str, end: str) -> Mapping[int, tuple[int, ...]]:
        """By leaf, numbers that change with what is written without a new version of the run."""
        ...

    def run_columns(self, scope: ReportScope, first: str, end: str, limit: int) -> Columns: ...

    def job_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Columns | None:
        """None: they are too many for one answer."""
        ...

    def payment_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Columns | None: ...

    def messages(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def answers_of(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def jobs_of_runs(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def runs_of(self, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def unfinished(self) -> Iterable[str]: ...

    def in_scope(self, scope: ReportScope, job_ids: Sequence[str]) -> set[str]: ...

    def kept_signatures(self, keys: Sequence[str]) -> Mapping[str, str]: ...

    def kept(self, keys: Sequence[str]) -> Iterable[tuple[str, str, bytes]]: ...

    def keep(self, key: str, signature: str, content: bytes) -> bool: ...


OpenRows: TypeAlias = Callable[[], AbstractContextManager[SummaryRows]]


@dataclass(frozen=True)
class Gathering:
    """The summaries that one report is about. unit: D or h. fresh: nothing that was kept is believed.

    unwritten: what could not be kept, by key: signature and content.
    """

    scope: ReportScope
    vendor: str
    period: Period
    unit: str
    count: Count = uncounted
    fresh: bool = False
    sizes: Sizes = SIZES
    unwritten: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def read(self, open_rows: OpenRows, finish: Callable[[SummaryRows, Summary, Summary | None], T]) -> T:
        """What finish() makes of the summaries of the period and of the one before, and of rows of the same moment.

        Where much is to be made, that is done and kept first, in snapshots of its own: no server keeps one for long.
        """
        prepared = False
        while True:
            with open_rows() as rows:
                wanted, signatures = self._partitions(rows)
                stale = self._stale(rows, wanted, signatures)
                if prepared or len(stale) <= A_SNAPSHOT:
                    return finish(rows, *self._summaries(rows, wanted, signatures))
            batches = [stale[start : start + A_SNAPSHOT] for start in range(0, len(stale), A_SNAPSHOT)]
            with ThreadPoolExecutor(READERS) as pool:
                for _ in pool.map(lambda batch: self._refresh(open_rows, batch), batches):
                    pass
            prepared = True

    def _is_kept(self, part: Partition) -> bool:
        return part.runs >= self.sizes.kept

    def _refresh(self, open_rows: OpenRows, parts: Sequence[Partition]) -> None:
        with open_rows() as rows:
            signatures = self._signatures(rows, parts)
            for part in parts:
                self._make(rows, part, signatures)

    def _stale(self, rows: SummaryRows, wanted: Sequence[Partition], signatures: Mapping[str, str]) -> list[Partition]:
        parts = {self._key(part): part for part in wanted if self._is_kept(part)}
        kept = {} if self.fresh else dict(rows.kept_signatures(list(parts)))
        return [part for key, part in parts.items() if kept.get(key) != signatures[part.name]]

    def _summaries(
        self, rows: SummaryRows, wanted: Sequence[Partition], signatures: Mapping[str, str]
    ) -> tuple[Summary, Summary | None]:
        sums: list[list[Summary]] = [[] for _ in self._windows]
        kept = [part for part in wanted if self._is_kept(part)]
        for start in range(0, len(kept), self.sizes.added):
            parts = kept[start : start + self.sizes.added]
            known = self._known(rows, parts, signatures)
            for part in parts:
                self._place(rows, part, known.get(part.name) or self._make(rows, part, signatures), sums)
            sums = [[added(summaries)] for summaries in sums]
        for part in joined([part for part in wanted if not self._is_kept(part)], self.sizes.most):
            self._read_windows(rows, part, sums)
        now, *before = (added(summaries) for summaries in sums)
        return now, before[0] if before else None

    @property
    def _windows(self) -> list[Window]:
        """The period, and the one before, if there is one."""
        period = self.period
        edges = [period.since, period.until]
        edges = [period.before, *edges] if period.before else edges
        times = [pd.Timestamp(edge) for edge in edges]
        return list(pairwise(times))[::-1]

    def _place(self, rows: SummaryRows, part: Partition, whole: Summary, sums: list[list[Summary]]) -> None:
        """Add a partition to the window that it lies in; made anew of its rows where an edge goes through it."""
        windows = self._windows
        if whole.outside(windows[-1][0], windows[0][1]):
            return
        for window, summaries in zip(windows, sums, strict=True):
            if whole.within(*window):
                summaries.append(whole)
                return
        self._read_windows(rows, part, sums)

    def _read_windows(self, rows: SummaryRows, part: Partition, sums: list[list[Summary]]) -> None:
        for chunk in self._chunks(rows, self.scope, *part.bounds):
            for window, summaries in zip(self._windows, sums, strict=True):
                summaries.append(summarise(chunk, *window, self.unit))
                if len(summaries) > self.sizes.added:
                    summaries[:] = [added(summaries)]

    def _make(self, rows: SummaryRows, part: Partition, signatures: Mapping[str, str]) -> Summary:
        """The summary of a whole partition, which is kept."""
        ever = ReportScope(self.scope.network, *EVER, self.scope.user, self.scope.tag)
        chunks = self._chunks(rows, ever, *part.bounds)
        whole = added([summarise(chunk, *EVER, self.unit) for chunk in chunks])
        key, signature, content = self._key(part), signatures[part.name], encoded(whole)
        self.made[key] = signature
        if not rows.keep(key, signature, content):
            self.unwritten[key] = signature, content
        return whole

    def _partitions(self, rows: SummaryRows) -> tuple[list[Partition], Mapping[str, str]]:
        """The partitions that something happened to since the report's beginning, and the signatures of the kept."""
        counts = rows.run_counts(self.scope, *ALL_RUNS)
        parts = partitions_of({leaf: runs for leaf, (runs, _) in counts.items()}, self.sizes.most)
        if self.period.before:
            touched = sorted(rows.touched_leaves(self.scope))
            parts = [part for part in parts if any(part.first <= leaf < part.end for leaf in touched)]
        kept = [part for part in parts if self._is_kept(part)]
        return parts, self._signatures(rows, kept, None if self.scope.user or self.scope.tag else counts)

    def _signatures(
        self, rows: SummaryRows, parts: Sequence[Partition], counts: Mapping[int, tuple[int, int]] | None = None
    ) -> Mapping[str, str]:
        if not parts:
            return {}
        first, end = parts[0].bounds[0], parts[-1].bounds[1]
        counts = counts if counts is not None else rows.run_counts(ReportScope(self.scope.network, *EVER), first, end)
        later = rows.later_changes(first, end)
        return {
            part.name: ".".join(
                map(str, (*_sums(counts, part, 2), *_sums(later, part, len(next(iter(later.values()), ())))))
            )
            for part in parts
        }

    def _key(self, part: Partition) -> str:
        scope = self.scope
        return "|".join((scope.network, part.name, self.unit, self.vendor, scope.user, scope.tag))

    def _known(
        self, rows: SummaryRows, parts: Sequence[Partition], signatures: Mapping[str, str]
    ) -> Mapping[str, Summary]:
        """What is kept of these partitions as they are now, by name."""
        names = {self._key(part): part.name for part in parts}
        entries = [(key, *entry) for key, entry in self.unwritten.items() if key in names]
        known = {}
        for key, signature, content in (*rows.kept(list(names)), *entries):
            trusted = not self.fresh or self.made.get(key) == signature
            if trusted and signature == signatures[names[key]] and (summary := decoded(content)):
                known[names[key]] = summary
        return known

    def _chunks(self, rows: SummaryRows, scope: ReportScope, first: str, end: str) -> Iterator[Rows]:
        """The rows of a range of runs, so many at a time as are held at once."""
        while True:
            runs = _typed(rows.run_columns(scope, first, end, self.sizes.most), RUN)
            if len(runs):
                yield from self._parts(rows, scope, runs)
            if len(runs) < self.sizes.most:
                return
            first = f"{int(runs.runId.iloc[-1], 16) + 1:024x}"

    def _parts(self, rows: SummaryRows, scope: ReportScope, runs: Frame) -> Iterator[Rows]:
        """The rows of some runs; in halves where they are too many for one answer."""
        run_ids = runs.runId.tolist()
        jobs, payments = rows.job_columns(scope, run_ids), rows.payment_columns(scope, run_ids)
        if jobs is not None and payments is not None:
            yield self._rows(rows, scope, runs, _typed(jobs, JOB), _typed(payments, PAYMENT))
            return
        if len(runs) == 1:
            raise StoreError(f"run {run_ids[0]} has more jobs than one answer of MongoDB can hold: no report counts it")
        middle = len(runs) // 2
        for half in (runs.iloc[:middle], runs.iloc[middle:]):
            yield from self._parts(rows, scope, half.reset_index(drop=True))

    def _rows(self, rows: SummaryRows, scope: ReportScope, runs: Frame, jobs: Frame, payments: Frame) -> Rows:
        run_ids = runs.runId.tolist()
        reasons = {row["jobId"]: row.get("errorMessage") for row in rows.messages(scope, run_ids)}
        jobs = jobs.assign(errorMessage=[reasons.get(job_id) or "" for job_id in jobs.jobId])
        whole = purchases_of(jobs, payments, runs, PURCHASE)
        statuses = [status if isinstance(status, str) else "" for status in whole.paymentStatus]
        whole = whole.assign(paymentStatus=pd.Series(statuses, index=whole.index, dtype="object"))
        self.count(len(runs) + len(jobs) + len(payments))
        ours, known = set(run_ids), set(whole.jobId)
        paid_for = zip(payments.runId, payments.jobId, strict=True)
        unmatched = [job_id for run_id, job_id in paid_for if run_id in ours and job_id not in known]
        states = zip(whole.state, whole.paymentStatus, whole.jobId, strict=True)
        unmatched += [job_id for state, paid, job_id in states if (state, paid) not in OVER]
        decisions = frame([], DECISIONS)
        purchases = whole
        if self.vendor:
            purchases = whole[whole.vendorId == self.vendor].reset_index(drop=True)
            runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
            whole = whole[whole.runId.isin(purchases.runId)].reset_index(drop=True)
        else:
            answers = frame(map(with_token_counts, rows.answers_of(scope, run_ids)), DECISIONS)
            decisions = answers[answers.runId.isin(runs.runId)].reset_index(drop=True)
        return Rows(runs, purchases, whole, decisions, unmatched)


def _sums(numbers: Mapping[int, tuple[int, ...]], part: Partition, length: int) -> list[int]:
    """The sums of the numbers of a partition's leaves."""
    sums = [0] * length
    for leaf, values in numbers.items():
        if part.first <= leaf < part.end:
            sums = [total + value for total, value in zip(sums, values, strict=True)]
    return sums


def _typed(columns: Columns, kinds: Mapping[str, str]) -> Frame:
    times = {
        name: pd.Series(pd.array(columns[name], dtype="int64").astype("datetime64[ms]")).dt.tz_localize("UTC")
        for name, kind in kinds.items()
        if kind == TIME
    }
    texts = {name: values for name, values in columns.items() if name in kinds and name not in times}
    return frame(pd.DataFrame({**texts, **times}, columns=list(kinds)), kinds)
