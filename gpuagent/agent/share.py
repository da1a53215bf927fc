"""The share of bytes and seconds that one tick gives to files: what is left of a file is for the next tick."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gpuagent.core.ports import Ports


@dataclass
class Share:
    """What is left of the share. now: a clock, Unix seconds; until: when it ends."""

    now: Callable[[], float]
    until: float
    remaining: int

    @property
    def seconds(self) -> float:
        """Seconds that are left, none once the bytes are used."""
        return max(self.until - self.now(), 0.0) if self.remaining > 0 else 0.0

    def cut(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """The parts for which there is a share left. The last one comes whole."""
        for part in parts:
            self.remaining -= len(part)
            yield part
            if self.seconds <= 0:
                return


def new_share(ports: Ports) -> Share:
    now, pace = ports.clock.now, ports.pace
    return Share(now, now() + pace.share_s, pace.share_bytes)
