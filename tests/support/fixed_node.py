"""A node whose blocks and history a test writes down: no server, no clock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuagent.core.model import Transfer
from gpuagent.core.records import Block, Incoming, Spent
from tests.support.factories import TOKEN


@dataclass
class FixedNode:
    """The part of the port Node that the books read. blocks: those it keeps, by number; the last is final."""

    blocks: Mapping[int, Block]
    events: tuple[Transfer | Spent, ...] = ()
    received: tuple[Incoming, ...] = ()
    token: Any = field(default=TOKEN)

    def final(self) -> Block:
        return self.blocks[max(self.blocks)]

    def block(self, number: int) -> Block | None:
        return self.blocks.get(number)

    def incoming(self, *_: object) -> Iterator[Incoming]:
        return iter(self.received)

    def history(self, *_: object) -> Iterator[Transfer | Spent]:
        return iter(self.events)
