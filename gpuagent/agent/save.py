"""Saves an event beside live ticks: when another save comes first, the event is made again from the newer run."""

from collections.abc import Callable

from gpuagent.core.events import Event
from gpuagent.core.model import Run
from gpuagent.core.observations import observations_of
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Runs
from gpuagent.core.transitions import apply
from gpuagent.errors import StaleRun


def save_event(run_id: str, event_of: Callable[[Run], Event], store: Runs, clock: Clock) -> Run:
    """Save the event that event_of makes of the run, once; the saved run. Raises what event_of raises."""
    while True:
        run = store.load(run_id)
        event = event_of(run)
        try:
            return store.save(run, apply(run, event), observations_of(run, event), clock.now())
        except StaleRun:  # another tick saved first: the event may no longer fit
            continue
