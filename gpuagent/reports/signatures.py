"""Signatures of partitions: texts of sums that change with whatever changes a figure of their runs."""

from dataclasses import dataclass
from hashlib import sha256

from gpuagent.reports.counts import Counts
from gpuagent.reports.partitions import Neighbours, Partition


@dataclass(frozen=True, slots=True)
class Signatures:
    """The signatures of the partitions of one snapshot. A partition's is known once its jobs are counted."""

    counts: Counts

    def of(self, part: Partition) -> str:
        """ "" as long as it is not known."""
        leaves, counts = self.counts.leaves_of(part), self.counts
        if any(leaf not in counts.jobs for leaf in leaves):
            return ""
        sums = ([sums.get(leaf, (0, 0)) for leaf in leaves] for sums in (counts.runs, counts.jobs, counts.returned))
        return ".".join(str(sum(column)) for numbers in sums for column in zip(*numbers, strict=True))

    def of_sum(self, some: Neighbours) -> str:
        """The signature of the sum of neighbours; "" as long as it is not known of each."""
        signatures = {part.name: self.of(part) for part in some.parts}
        if not all(signatures.values()):
            return ""
        text = "|".join(f"{name}={signature}" for name, signature in signatures.items())
        return sha256(text.encode()).hexdigest()
