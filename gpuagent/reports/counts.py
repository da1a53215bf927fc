"""Numbers by leaf that change with whatever changes a figure of its runs: what signatures are made of.

They are kept with the moment that they are of. The next report counts those leaves anew where something was written
since, and all of them where it is not known what was.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

from gpuagent.core.records import ReportScope
from gpuagent.reports.kept import packed, unpacked
from gpuagent.reports.partitions import LEAVES, Partition
from gpuagent.reports.summary_rows import SummaryRows

FORMAT = 1
RANGES_MAX = 16
RUNS_COUNTED = 200_000
"""As many are counted in a second, with their jobs."""
Sums: TypeAlias = Mapping[int, tuple[int, int]]
"""Two numbers by leaf."""
ALL = (0, LEAVES)


@dataclass
class Counts:
    """Numbers as of one moment, "" for one that is not known.

    own: of the scope's runs, their number and the sum of their versions. runs: the same of all of the network.
    returned: of refunds and of credits. jobs: their number, and what they cost; of the leaves where they were counted.
    """

    moment: str
    own: Sums
    runs: Sums
    returned: Sums
    jobs: dict[int, tuple[int, int]]
    ordered: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ordered = sorted(self.runs)

    def leaves_of(self, part: Partition) -> Sequence[int]:
        """The leaves of a partition that have runs."""
        return self.ordered[bisect_left(self.ordered, part.first) : bisect_left(self.ordered, part.end)]

    def add_jobs(self, part: Partition, counted: Sequence[Sums]) -> None:
        """counted: those of all runs of the partition, in parts."""
        for leaf in self.leaves_of(part):
            if leaf not in self.jobs:
                numbers = [sums[leaf] for sums in counted if leaf in sums]
                self.jobs[leaf] = sum(jobs for jobs, _ in numbers), sum(cost for _, cost in numbers)


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts, of a report's rows. fresh: what was kept is not believed. changes_s: as Sizes has it."""

    rows: SummaryRows
    scope: ReportScope
    fresh: bool
    changes_s: float

    def counts(self) -> Counts:
        """As of the moment of the rows, of which nothing may have been read yet. Raises StoreError."""
        # What is kept comes first: it is then of no later moment than the rows.
        earlier = None if self.fresh else self._kept()
        moment = self.rows.moment()
        changed = self._changed_leaves(earlier, moment) if earlier and moment else None
        start = earlier if earlier and changed is not None else Counts("", {}, {}, {}, {})
        counts = replace(start, moment=moment)
        for first, end in [ALL] if changed is None else ranges(changed):
            counts = self._recounted(counts, first, end)
        return counts

    def _changed_leaves(self, earlier: Counts, moment: str) -> set[int] | None:
        runs = sum(count for count, _ in earlier.runs.values())
        return self.rows.changed_leaves(earlier.moment, moment, self.changes_s * (1 + runs / RUNS_COUNTED))

    @property
    def is_filtered(self) -> bool:
        """Whether other runs of the same time are not read."""
        return bool(self.scope.user or self.scope.tag)

    @property
    def _network(self) -> ReportScope:
        return replace(self.scope, user="", tag="")

    @property
    def _key(self) -> str:
        return f"{self.scope.network}|counts|{json.dumps([self.scope.user, self.scope.tag])}"

    def _recounted(self, counts: Counts, first: int, end: int) -> Counts:
        """The same, with those of the leaves in [first, end) as they are."""

        def outside(sums: Sums) -> dict[int, tuple[int, int]]:
            return {leaf: numbers for leaf, numbers in sums.items() if not first <= leaf < end}

        bounds = Partition(first, end, 0).bounds
        own = {**outside(counts.own), **self.rows.run_counts(self.scope, *bounds)}
        runs = {**outside(counts.runs), **self.rows.run_counts(self._network, *bounds)} if self.is_filtered else own
        returned = {**outside(counts.returned), **self.rows.returned_counts(*bounds)}
        return Counts(counts.moment, own, runs, returned, outside(counts.jobs))

    def count_jobs(self, counts: Counts, parts: Iterable[Partition]) -> None:
        """Add the jobs of the leaves of these partitions, where they are not counted."""
        missing = {leaf for part in parts for leaf in counts.leaves_of(part) if leaf not in counts.jobs}
        for first, end in ranges(missing):
            part = Partition(first, end, 0)
            counts.add_jobs(part, [self.rows.job_counts(*part.bounds)])

    def keep(self, counts: Counts) -> None:
        """For the next report; where the moment is known, and the user may write."""
        if counts.moment:
            sums = {name: _plain(getattr(counts, name)) for name in ("own", "runs", "returned", "jobs")}
            self.rows.keep(self._key, counts.moment, packed(sums, FORMAT))

    def _kept(self) -> Counts | None:
        for _, moment, content in self.rows.contents([self._key]):
            if plain := unpacked(content, FORMAT):
                return Counts(moment, **{name: _sums(columns) for name, columns in plain.items()})
        return None


def _plain(sums: Sums) -> list[list[int]]:
    """Columns: leaves, and the two numbers of each."""
    return [list(sums), *([numbers[place] for numbers in sums.values()] for place in (0, 1))]


def _sums(columns: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
    leaves, first, second = columns
    return dict(zip(leaves, zip(first, second, strict=True), strict=True))


def ranges(leaves: Iterable[int], most: int = RANGES_MAX) -> list[tuple[int, int]]:
    """At most so many ranges that hold these leaves, and the fewest others."""
    ordered = sorted(leaves)
    steps = [after - before for before, after in pairwise(ordered)]
    widest = sorted((place for place, step in enumerate(steps) if step > 1), key=lambda place: -steps[place])
    edges = [0, *sorted(place + 1 for place in widest[: most - 1]), len(ordered)]
    return [(ordered[first], ordered[end - 1] + 1) for first, end in pairwise(edges)] if ordered else []
