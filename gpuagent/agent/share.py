"""The bytes and seconds that one tick spends on transfers of files; the next tick goes on with the rest."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gpuagent.core.ports import Ports


@dataclass
class Share:
    """What is left of a tick's share. now: a clock, Unix seconds; until: its end; remaining: bytes."""

    now: Callable[[], float]
    until: float
    remaining: int

    @property
    def seconds(self) -> float:
        """The seconds that are left; 0 once the bytes are used up."""
        return max(self.until - self.now(), 0.0) if self.remaining > 0 else 0.0

    def cut(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """The parts until the share is used up; the last one is not cut."""
        for part in parts:
            self.remaining -= len(part)
            yield part
            if self.seconds <= 0:
                return


def new_share(ports: Ports) -> Share:
    """The share of one tick, which begins with the call."""
    now, pace = ports.clock.now, ports.pace
    return Share(now, now() + pace.share_s, pace.share_bytes)
