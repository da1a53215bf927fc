"""The summaries of a report: those that were kept where nothing has changed since, all others made of the runs' rows.

What is kept is derived, and believed only with the signature that its partition has in the report's own snapshot:
whatever changes, and whoever deletes it, costs time alone. A user who may only read keeps none.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, TypeVar

import pandas as pd

from gpuagent.core.records import ReportScope
from gpuagent.reports.chunks import Chunks
from gpuagent.reports.counts import Counting, Counts, Sums
from gpuagent.reports.figures.kept_summaries import decoded, encoded
from gpuagent.reports.figures.summary import Summary, added, summarise
from gpuagent.reports.partitions import SIZES, Neighbours, Partition, Sizes, joined, neighbours, partitions_of
from gpuagent.reports.period import Period
from gpuagent.reports.signatures import Signatures
from gpuagent.reports.summary_rows import Count, OpenRows, SummaryRows, uncounted

EVER = (pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC"))
S = TypeVar("S")
T = TypeVar("T")
Window: TypeAlias = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Gathering:
    """The summaries that one report is about. unit: D or h. fresh: nothing that was kept is believed.

    unwritten: what could not be kept, by key: signature and content. written: the signatures of all that was made.
    made: the partitions that were made of the snapshot that is open.
    """

    scope: ReportScope
    vendor: str
    period: Period
    unit: str
    count: Count = uncounted
    fresh: bool = False
    sizes: Sizes = SIZES
    unwritten: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def read(self, open_rows: OpenRows, finish: Callable[[SummaryRows, Summary, Summary | None], T]) -> T:
        """What finish() makes of the summaries of the period and of the one before, and of rows of the same moment.

        Where very much is to be made, a part of it is made and kept first, of snapshots of their own.
        """
        while True:
            with open_rows() as rows, suppress(_SnapshotOldError):
                counting = Counting(rows, self.scope, self.fresh, self.sizes.changes_s)
                counts = counting.counts()
                parts, is_first = self._partitions(rows, counting, counts)
                summaries = self._summaries(rows, parts, Signatures(counts), is_first)
                if any(map(self._is_kept, parts)):
                    counting.keep(counts)
                return finish(rows, *summaries)

    def _chunks(self, rows: SummaryRows, scope: ReportScope) -> Chunks:
        return Chunks(rows, scope, self.vendor, self.sizes.most, self.count)

    def _is_kept(self, part: Partition) -> bool:
        return part.runs >= self.sizes.least

    def _summaries(
        self, rows: SummaryRows, parts: Sequence[Partition], signatures: Signatures, is_first: bool
    ) -> tuple[Summary, Summary | None]:
        """is_first: all of these are to be made, and none is cut: in one go, so that the database never waits."""
        sums: list[list[Summary]] = [[] for _ in self._windows]
        large = [part for part in parts if self._is_kept(part)]
        self.made.clear()
        with closing(self._make(rows, large if is_first else [], signatures)) as all_made:
            for some in neighbours(large, self.sizes.added):
                self._place_neighbours(rows, some, signatures, sums, all_made if is_first else None)
                sums = [[added(held)] if len(held) > self.sizes.added else held for held in sums]
        for part in joined([part for part in parts if not self._is_kept(part)], self.sizes.most):
            self._read_windows(rows, part, sums)
        now, *before = (added(summaries) for summaries in sums)
        return now, before[0] if before else None

    def _place_neighbours(
        self,
        rows: SummaryRows,
        some: Neighbours,
        signatures: Signatures,
        sums: list[list[Summary]],
        all_made: Iterator[Summary] | None,
    ) -> None:
        """Add neighbours to the windows: by their sum, which is kept too, where all of it lies in one window.

        all_made: the summaries of these partitions, where nothing is kept of any.
        """
        parts, several, total = some.parts, len(some.parts) > 1, None
        if several and not all_made:
            total = self._valid(rows, [some], {some.name: signatures.of_sum(some)}).get(some.name)
        if total and self._place_whole(total, sums):
            return
        valid = {} if all_made else self._valid(rows, parts, {part.name: signatures.of(part) for part in parts})
        missing = [part for part in parts if part.name not in valid]
        with closing(self._make(rows, missing, signatures)) as made:
            summaries = all_made or made
            wholes = [valid.get(part.name) or next(summaries) for part in parts]
        if several and not total:
            total = added(wholes)
            rows.keep(self._key(some), signatures.of_sum(some), encoded(total))
            if self._place_whole(total, sums):
                return
        for part, whole in zip(parts, wholes, strict=True):
            self._place(rows, part, whole, sums)

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
        if not self._place_whole(whole, sums):
            self._read_windows(rows, part, sums)

    def _place_whole(self, whole: Summary, sums: list[list[Summary]]) -> bool:
        """Whether it lies in one window, to which it is added, or in none: no edge goes through it."""
        windows = self._windows
        if whole.outside(windows[-1][0], windows[0][1]):
            return True
        for window, summaries in zip(windows, sums, strict=True):
            if whole.within(*window):
                summaries.append(whole)
                return True
        return False

    def _read_windows(self, rows: SummaryRows, part: Partition, sums: list[list[Summary]]) -> None:
        chunks = self._chunks(rows, self.scope)
        with closing(chunks.read([part])) as parts:
            for some in (rows_of_part for _, rows_of_part in parts if rows_of_part):
                for window, summaries in zip(self._windows, sums, strict=True):
                    summaries.append(summarise(some, *window, self.unit))
                    if len(summaries) > self.sizes.added:
                        summaries[:] = [added(summaries)]

    def _make(
        self, rows: SummaryRows, parts: Sequence[Partition], signatures: Signatures
    ) -> Generator[Summary, None, None]:
        """The summaries of whole partitions, which are kept. At least one is made of each snapshot. To be closed."""
        chunks = self._chunks(rows, ReportScope(self.scope.network, *EVER, self.scope.user, self.scope.tag))
        summaries: list[Summary] = []
        jobs: list[Sums] = []
        with closing(chunks.read(parts)) as items:
            for part, some in items:
                if some is None:
                    signatures.counts.add_jobs(part, jobs)
                    whole = added(summaries)
                    self._keep(rows, part, signatures.of(part), whole)
                    summaries, jobs = [], []
                    yield whole
                elif self.made and rows.age_s > self.sizes.snapshot_s:
                    raise _SnapshotOldError
                else:
                    summaries.append(summarise(some, *EVER, self.unit))
                    jobs.append(some.jobs)

    def _keep(self, rows: SummaryRows, part: Partition, signature: str, whole: Summary) -> None:
        key, content = self._key(part), encoded(whole)
        self.written[key] = signature
        self.made.append(part.name)
        if not rows.keep(key, signature, content):
            self.unwritten[key] = signature, content

    def _partitions(self, rows: SummaryRows, counting: Counting, counts: Counts) -> tuple[list[Partition], bool]:
        """The partitions that something happened to since the report's beginning; of what is kept, jobs are counted.

        And whether nothing is kept of them, and no earlier period cuts any.
        """
        parts = partitions_of({leaf: runs for leaf, (runs, _) in counts.own.items()}, self.sizes.most)
        if self.period.before:
            touched = sorted(rows.touched_leaves(self.scope))
            parts = [part for part in parts if any(part.first <= leaf < part.end for leaf in touched)]
        large = [part for part in parts if self._is_kept(part)]
        present = set() if self.fresh or not large else set(rows.kept_signatures([self._key(part) for part in large]))
        present |= self.written.keys()
        # The jobs of all others are counted when they are read.
        counting.count_jobs(counts, [part for part in large if counting.is_filtered or self._key(part) in present])
        return parts, not present and not self.period.before

    def _key(self, part: Partition | Neighbours) -> str:
        scope = self.scope
        return "|".join((scope.network, part.name, self.unit, self.vendor, scope.user, scope.tag))

    def _valid(
        self, rows: SummaryRows, parts: Sequence[Partition | Neighbours], signatures: Mapping[str, str]
    ) -> Mapping[str, Summary]:
        """What is kept of these as they are now, by name."""
        names = {self._key(part): part.name for part in parts}
        entries = [(key, *entry) for key, entry in self.unwritten.items() if key in names]
        valid = {}
        for key, signature, content in (*rows.contents(list(names)), *entries):
            trusted = not self.fresh or self.written.get(key) == signature
            if trusted and signature and signature == signatures.get(names[key]) and (summary := decoded(content)):
                valid[names[key]] = summary
        return valid


class _SnapshotOldError(Exception):
    """The snapshot may soon be gone, and there is more to be made: a later one goes on."""
