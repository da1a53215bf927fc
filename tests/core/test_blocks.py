"""Blocks by time."""

import pytest

from gpuagent.core.blocks import first_block_at
from gpuagent.core.records import Block


@pytest.mark.parametrize("kept_from", [0, 50, 101])
@pytest.mark.parametrize(
    ("at", "first"), [(-5, 0), (0, 0), (1, 1), (119, 60), (120, 60), (121, 61), (200, 100), (999, 100)]
)
def test_the_first_block_that_is_not_older(at: int, first: int, kept_from: int) -> None:
    reads: list[int] = []

    def block(number: int) -> Block | None:
        reads.append(number)
        return Block(number, 2 * number, hex(number)) if number >= kept_from else None

    assert first_block_at(at, 100, block) == max(first, min(kept_from, 100))
    assert len(reads) <= 7
