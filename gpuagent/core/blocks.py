"""Blocks by time."""

from collections.abc import Callable

from gpuagent.core.records import Block


def first_block_at(at: float, last: int, block: Callable[[int], Block | None], first: int = 0) -> int:
    """The first block from `first` to `last` that is not older than `at` (Unix seconds), found by halving.

    block: the block of a number; one that is None counts as older. A read for every doubling of the chain.
    """
    low, high = min(first, last), last
    while low < high:
        middle = (low + high) // 2
        candidate = block(middle)
        if candidate is None or candidate.time < at:
            low = middle + 1
        else:
            high = middle
    return low
