"""Partitions of the runs by the time in their ids: each of at most Sizes.most runs, where a leaf's time can be halved.

A partition's range is a power of two of seconds, and begins at a multiple of it: as long as no more runs than that are
started in it, it stays the same one, and what is known of it can be kept.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

TIME_BITS, LEAF_BITS = 32, 20
"""Of the seconds in an id; of them, those that number a leaf: 4096 seconds."""
LEAVES = 1 << LEAF_BITS


@dataclass(frozen=True, slots=True)
class Sizes:
    """In runs. most: of a partition, and of what is read at once. least: from how many on a partition's summary is
    kept, for fewer are read as fast. added: summaries that are held before they are added up.

    snapshot_s: for so many seconds partitions are made of one snapshot, for a server keeps it for some minutes only.
    changes_s: for so many seconds for each 200,000 runs, and once more, it is read what was written since the last
    report: what takes longer is counted anew as fast."""

    most: int = 30_000
    least: int = 1_000
    added: int = 32
    snapshot_s: float = 120
    changes_s: float = 1


SIZES = Sizes()


@dataclass(frozen=True, slots=True)
class Partition:
    """The runs whose id begins in [first, end) leaves; so many as were counted."""

    first: int
    end: int
    runs: int

    @property
    def name(self) -> str:
        return f"{self.first:05x}-{self.end:05x}"

    @property
    def bounds(self) -> tuple[str, str]:
        """The least id of a run in it, and the least behind it."""
        return _least_id(self.first), _least_id(self.end)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Partitions of one length, in their order, whose sum is kept as well."""

    parts: Sequence[Partition]

    @property
    def name(self) -> str:
        return f"{self.parts[0].first:05x}-{self.parts[-1].end:05x}-sum"


def neighbours(partitions: Iterable[Partition], most: int) -> Iterator[Neighbours]:
    """Up to so many together, in ranges that stay the same whatever is started later."""

    def range_of(part: Partition) -> tuple[int, int]:
        length = part.end - part.first
        return length, part.first // (length * most)

    for _, parts in groupby(partitions, range_of):
        yield Neighbours(list(parts))


def _least_id(leaf: int) -> str:
    # No id is behind the last leaf: the greatest is taken for its end.
    return f"{leaf << (TIME_BITS - LEAF_BITS):08x}".ljust(24, "0") if leaf < LEAVES else "f" * 24


def partitions_of(counts: Mapping[int, int], most: int) -> list[Partition]:
    """The partitions of runs in the order of time, without those that are empty. counts: of runs by leaf."""
    leaves = sorted(counts)
    before = [0, *accumulate(counts[leaf] for leaf in leaves)]

    def halves(first: int, end: int) -> Iterator[Partition]:
        runs = before[bisect_left(leaves, end)] - before[bisect_left(leaves, first)]
        if not runs:
            return
        if runs <= most or end - first == 1:
            yield Partition(first, end, runs)
            return
        middle = (first + end) // 2
        yield from halves(first, middle)
        yield from halves(middle, end)

    return list(halves(0, LEAVES))


def joined(partitions: list[Partition], most: int) -> Iterator[Partition]:
    """Neighbours that are read together, for they are small: their ranges, and all between them."""
    waiting: Partition | None = None
    for partition in partitions:
        if waiting and waiting.end == partition.first and waiting.runs + partition.runs <= most:
            waiting = Partition(waiting.first, partition.end, waiting.runs + partition.runs)
            continue
        if waiting:
            yield waiting
        waiting = partition
    if waiting:
        yield waiting
