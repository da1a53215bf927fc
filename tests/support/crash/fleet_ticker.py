"""A ticker that is a fleet's: a dispatcher with threads, which shares the runs by leases with all who use these."""

import os
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial

from gpuagent import wiring
from gpuagent.errors import (
    ChainError,
    ChainMismatch,
    ClocksDiffer,
    DecisionRefused,
    GpuAgentError,
    StaleRun,
    StoreError,
    VendorError,
)
from gpuagent.fleet import dispatcher
from gpuagent.fleet.crews import Crew, Ticked, ticked
from gpuagent.fleet.worker import Leasing, Worker

SURVIVED = (StoreError, ChainError, VendorError, StaleRun, ClocksDiffer, DecisionRefused)
"""Another time; clocks differ, and quotes expire before they are decided on, while clocks are being turned."""
THREADS, BATCH = 2, 4
LEASING = Leasing(life_s=3, rest_s=0.1, batch_s=1)


def work_in_fleet(agent: wiring.Agent) -> None:
    """Tick what is due until killed. What no ticker may meet ends the process with 1, its traceback on stderr."""
    dispatcher.AWAY_S = 0.2
    with closing(_worker(agent)) as worker:
        crew = Crew(partial(ThreadPoolExecutor, 1), partial(_tick_batch, worker), 1, BATCH)
        dispatcher.Dispatcher(agent.database.queries.leases, crew).run()


def _worker(agent: wiring.Agent) -> Worker:
    while True:
        with suppress(StoreError):  # mongod is being killed
            return Worker(agent.ports, agent.database, THREADS, LEASING)


def _tick_batch(worker: Worker, run_ids: Sequence[str]) -> list[Ticked]:
    is_bug, bad = True, list[GpuAgentError]()
    try:
        turns = worker.tick_all(run_ids)
        bad = [error for turn in turns if (error := turn.error) and not _is_survived(error)]
        is_bug = bool(bad)
    except SURVIVED:
        is_bug = False
        raise
    finally:
        if is_bug:  # which the dispatcher would only write down
            traceback.print_exc()
            for error in bad:
                traceback.print_exception(error)
            sys.stderr.flush()
            os._exit(1)
    return list(map(ticked, turns))


def _is_survived(error: GpuAgentError) -> bool:
    return isinstance(error, SURVIVED) and not isinstance(error, ChainMismatch)
