"""A pool of long-lived tickers: the killed ones are counted and replaced."""

import random
import signal
from collections import Counter
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.support.crash.file_points import FILE_POINTS
from tests.support.crash.forks import forks
from tests.support.crash.long_ticker import Life, live
from tests.support.crash.points import LATER_POINTS, POINTS

AT_RANDOM = "at random"
FEW = 9
"""Tickers that are to reach the last points, of a turn's 16: else a campaign waits for these alone."""


class TickerPool:
    """A pool of `size` long-lived tickers, `fleet` of them a fleet's.

    kills: how many died at which point, or by kill_one(). fleet_kills: how many of these were the fleet's.
    """

    def __init__(
        self, size: int, fleet: int, environment: Mapping[str, str], folder: Path, dice: random.Random
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.fleet_kills = 0
        self._fleet = fleet
        self._size, self._environment, self._folder, self._dice = size, environment, folder, dice
        self._forks = forks()
        self._alive: dict[ForkServerProcess, Life] = {}
        self._killed: set[int | None] = set()
        self._points: list[str] = []
        self._started = 0

    def keep_up(self, *, dying: bool) -> None:
        """Count the dead, and replace them; dying: by tickers of which most die at a point.

        Raises AssertionError when one has ended otherwise than by SIGKILL.
        """
        for ticker, life in list(self._alive.items()):
            if ticker.exitcode is not None:
                del self._alive[ticker]
                assert ticker.exitcode == -signal.SIGKILL, self._error_text(ticker)
                self.kills[AT_RANDOM if ticker.pid in self._killed or not life.point else life.point] += 1
                self.fleet_kills += life.in_fleet
        while len(self._alive) < self._size:
            point = self._next_point() if dying else ""
            self._started += 1
            in_fleet = sum(other.in_fleet for other in self._alive.values()) < self._fleet
            life = Life(self._environment, self._folder, point, f"{self._dice.random()}:{self._started}", in_fleet)
            ticker = self._forks.Process(target=live, args=(life,), daemon=True)
            ticker.start()
            self._alive[ticker] = life

    def kill_one(self) -> None:
        """SIGKILL a ticker drawn by the dice, wherever it is; half of the time one that is not to die at a point."""
        without = [ticker for ticker, life in self._alive.items() if not life.point]
        ticker = self._dice.choice(without if without and self._dice.random() < 0.5 else list(self._alive))
        self._killed.add(ticker.pid)
        ticker.kill()

    def end(self) -> None:
        """Kill them all, and wait for their ends."""
        for ticker in self._alive:
            ticker.kill()
            ticker.join()

    def _next_point(self) -> str:
        """Points in drawn order: those that no ticker has reached yet before others, and now and then none."""
        if not self._points:
            points = [*POINTS, *LATER_POINTS, *FILE_POINTS]
            unreached = [point for point in points if not self.kills[point]]
            rare = unreached * max(2, FEW // max(1, len(unreached)))
            self._points = [*rare, *self._dice.sample(points, 4), *[""] * 3]
            self._dice.shuffle(self._points)
        return self._points.pop()

    def _error_text(self, ticker: ForkServerProcess) -> str:
        file = self._folder / f"{ticker.pid}.stderr"
        return f"a ticker ended with {ticker.exitcode}: {file.read_text() if file.exists() else 'no error text'}"
