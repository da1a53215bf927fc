"""The driver: the one loop that ticks a run until it is over. What may pass is RETRYABLE, how often Pace.poll_s.

tick and pause are parameters: tick() stands above this package, and nothing in it knows the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gpuagent.core.model import Run
from gpuagent.core.pace import Pace
from gpuagent.core.steps import is_over
from gpuagent.errors import RETRYABLE, ChainMismatch, GpuAgentError


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick of a drive. run: as the last successful tick left it. error: why this tick failed, where that may pass.

    number: 1 for the first.
    """

    run: Run
    number: int
    error: GpuAgentError | None = None


def drive(
    run: Run,
    tick: Callable[[str], Run],
    pause: Callable[[float], object],
    pace: Pace,
    *,
    ticks_max: int | None = None,
    patient: bool = False,
) -> Iterator[Tick]:
    """Each tick once it is made, until the run is over or ticks_max are made; pause(pace.poll_s) between two ticks.

    tick: makes one tick of the run with this id. patient: after an error of RETRYABLE the next tick tries again;
    otherwise that is raised too, as ChainMismatch and every other error always are. To stop, ask for no more ticks.
    """
    number = 0
    while not is_over(run) and number != ticks_max:
        if number:
            pause(pace.poll_s)
        number += 1
        failure: GpuAgentError | None = None
        try:
            run = tick(run.run_id)
        except ChainMismatch:
            raise  # a ChainError that only an operator can resolve
        except RETRYABLE as error:
            if not patient:
                raise
            failure = error
        yield Tick(run, number, failure)
