"""Clocks that a test turns: ahead of the wall clock, through a file, or standing still."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from gpuagent.adapters.clock import SystemClock
from gpuagent.wiring import Agent


class TurnableClock:
    """The wall clock, plus the seconds that a test has turned it ahead."""

    def __init__(self, ahead_s: float = 0) -> None:
        self.ahead_s = ahead_s

    def now(self) -> float:
        return round(SystemClock().now() + self.ahead_s, 3)  # whole milliseconds, as the system's


class FileClock:
    """The wall clock, plus the seconds that a file holds: one clock for several processes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> float:
        return SystemClock().now() + float(self._file.read_text())


@dataclass
class ManualClock:
    """A clock that only pauses move; it records them. Seconds."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def turned(agent: Agent, clock: TurnableClock | FileClock) -> Agent:
    """The agent on a turned clock, with a database that is turned alike, as one machine in another hour."""
    database = replace(agent.database, ahead=lambda: clock.now() - SystemClock().now())
    ports = replace(agent.ports, clock=clock, store=database.store)
    return replace(agent, database=database, ports=ports)
