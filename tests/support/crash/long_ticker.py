"""A ticker that lives on: it ticks every run of its wallet in turn, survives what is meant to be survived, and dies
at a named point or when it is killed. Its clock is turned by a file.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gpuagent import settings, wiring
from gpuagent.adapters.vendors.adapter import Adapter, Parts
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.adapters.vendors.prism import PrismVendor
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.core.model import OWN_PROTOCOL, Observation, Run
from gpuagent.core.ports.files import FileStore
from gpuagent.core.ports.store import Store
from gpuagent.core.steps import is_over
from gpuagent.errors import ChainError, ChainMismatch, ConfigError, StaleRun
from gpuagent.tick import tick
from tests.support.clock import FileClock, turned
from tests.support.crash.fleet_ticker import SURVIVED, work_in_fleet
from tests.support.crash.points import dying

IMPATIENT: Mapping[str, Callable[[Parts], Adapter]] = {
    OWN_PROTOCOL: lambda parts: HttpVendor(parts.secret, quote_s=2, submit_s=4, status_s=3, content=parts.content),
    "prism": lambda parts: PrismVendor(parts, quote_s=2, submit_s=4, status_s=3),
}
RUNS_MAX = 1000
PAUSE_S = 0.02
SHARE_BYTES = 400_000
"""Of a job's files in one tick: less than a file of a campaign's job, so that each takes several."""

OVERTAKEN, SAVES, FLEET_SAVES = "overtaken", "saves", "fleet-saves"
"""The files in a campaign's folder with a byte for each save that another ticker was faster with, each other, and each
of these that the fleet made.
"""


class CountingStore:
    """A store that writes down how often it saved, and how often another ticker was faster."""

    def __init__(self, inner: Store, folder: Path, in_fleet: bool) -> None:
        self.inner, self.folder, self.in_fleet = inner, folder, in_fleet

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        try:
            saved = self.inner.save(before, after, observations, at)
        except StaleRun:
            _note(self.folder / OVERTAKEN)
            raise
        _note(self.folder / SAVES)
        if self.in_fleet:
            _note(self.folder / FLEET_SAVES)
        return saved


def _note(file: Path) -> None:
    with file.open("ab") as marks:
        marks.write(b".")


@dataclass(frozen=True)
class Life:
    """The orders of one ticker. point: where it dies, "" for nowhere. folder: where the clock and the errors are.

    in_fleet: it takes the runs that are due by leases, and does not go through all of them.
    """

    environment: Mapping[str, str]
    folder: Path
    point: str
    seed: str
    in_fleet: bool = False


def live(life: Life) -> None:
    """Tick until killed. What no ticker may meet ends the process with 1, its traceback in the folder."""
    sys.stderr = (life.folder / f"{os.getpid()}.stderr").open("a")
    _tick_for_ever(life)


def _tick_for_ever(life: Life) -> None:
    dice = random.Random(life.seed)
    with ExitStack() as closing:
        agent = _build(life, closing)
        if life.in_fleet:
            work_in_fleet(agent)
        over: set[str] = set()
        while True:
            try:
                run_ids = [run_id for run in agent.reads.runs(RUNS_MAX) if (run_id := str(run["_id"])) not in over]
                dice.shuffle(run_ids)
                for run_id in run_ids:
                    if is_over(tick(run_id, agent.ports)):
                        over.add(run_id)
            except ChainMismatch:
                raise  # the one ChainError that says more than "not now"
            except SURVIVED:
                pass
            time.sleep(PAUSE_S)


def _build(life: Life, closing: ExitStack) -> wiring.Agent:
    """The agent, as soon as database and chain are there."""
    environment = dict(life.environment)
    while True:
        try:
            agent = closing.enter_context(wiring.open_agent(settings.read(environment)))
        except (ConfigError, ChainError):
            time.sleep(PAUSE_S)
            continue
        clock = FileClock(life.folder / "ahead")
        parts = Parts(environment.get, clock.now, partial(_content, agent.ports.files))
        vendor_api = VendorRegistry(parts, IMPATIENT)
        agent = turned(agent, clock)
        store = CountingStore(agent.ports.store, life.folder, life.in_fleet)
        pace = replace(agent.ports.pace, share_bytes=SHARE_BYTES)
        ports = replace(agent.ports, vendor_api=vendor_api, store=store, pace=pace)
        return replace(agent, ports=dying(ports, life.point, environment) if life.point else ports)


def _content(files: FileStore, sha256: str) -> bytes:
    return b"".join(files.read(sha256))
