"""A ticker that lives on: it ticks every run of its wallet in turn, survives what is meant to be survived, and dies
at a named point or when it is killed. Its clock is turned by a file.
"""

import os
import random
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gpuagent import settings, wiring
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.transitions import is_over
from gpuagent.errors import ChainError, ChainMismatch, ClocksDiffer, ConfigError, StaleRun, StoreError, VendorError
from gpuagent.tick import tick
from tests.support.clock import FileClock, turned
from tests.support.crash.points import dying

RUNS_MAX = 1000
PAUSE_S = 0.02


@dataclass(frozen=True)
class Life:
    """The orders of one ticker. point: where it dies, "" for nowhere. folder: where the clock and the errors are."""

    environment: Mapping[str, str]
    folder: Path
    point: str
    seed: str


def live(life: Life) -> None:
    """Tick until killed. What no ticker may meet ends the process with 1, its traceback in the folder."""
    sys.stderr = (life.folder / f"{os.getpid()}.stderr").open("a")
    _tick_for_ever(life)


def _tick_for_ever(life: Life) -> None:
    dice = random.Random(life.seed)
    with ExitStack() as closing:
        agent = _build(life, closing)
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
            except (StoreError, ChainError, VendorError, StaleRun, ClocksDiffer):
                pass  # another time; clocks differ while the file is being turned
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
        vendor_api = HttpVendor(environment.get, quote_s=2, submit_s=4, status_s=3)
        agent = turned(agent, FileClock(life.folder / "ahead"))
        ports = replace(agent.ports, vendor_api=vendor_api)
        return replace(agent, ports=dying(ports, life.point, environment) if life.point else ports)
