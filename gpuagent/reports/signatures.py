"""Signatures of partitions: texts of sums that change with whatever changes a figure of their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from gpuagent.reports.partitions import Neighbours, Partition

Sums: TypeAlias = Mapping[int, tuple[int, ...]]
"""Numbers by leaf."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """The signatures of the partitions of one snapshot. runs: by leaf, the number of runs and the sum of versions.

    returned: the numbers of refunds and of credits. A partition's signature is known once its jobs are.
    """

    runs: Sums
    returned: Sums
    known: dict[str, str] = field(default_factory=dict)
    """By the partition's name."""

    def add(self, part: Partition, jobs: Sequence[int]) -> None:
        """jobs: the number of its jobs, and what they cost in all."""
        numbers = (*_sums(self.runs, part), *jobs, *_sums(self.returned, part))
        self.known[part.name] = ".".join(map(str, numbers))

    def add_counted(self, parts: Sequence[Partition], jobs: Sums) -> None:
        """jobs: the same by leaf."""
        for part in parts:
            self.add(part, _sums(jobs, part))

    def of_sum(self, some: Neighbours) -> str:
        """The signature of the sum of neighbours; "" as long as it is not known of each."""
        if any(part.name not in self.known for part in some.parts):
            return ""
        text = "|".join(f"{part.name}={self.known[part.name]}" for part in some.parts)
        return sha256(text.encode()).hexdigest()


def _sums(numbers: Sums, part: Partition) -> Sequence[int]:
    """The sums of the two numbers of a partition's leaves."""
    first = second = 0
    for leaf, (count, total) in numbers.items():
        if part.first <= leaf < part.end:
            first, second = first + count, second + total
    return first, second
