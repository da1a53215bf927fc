"""Saving of an event beside live ticks: where another save was faster, the event is made anew of the newer run."""

from collections.abc import Callable

from gpuagent.core.events import Event
from gpuagent.core.model import Run
from gpuagent.core.observations import observations_of
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Runs
from gpuagent.core.transitions import apply
from gpuagent.errors import StaleRun


def save_event(run_id: str, event_of: Callable[[Run], Event], store: Runs, clock: Clock) -> Run:
    """The run with the event, saved once. Raises what event_of raises, which may refuse the run as it is by now."""
    while True:
        run = store.load(run_id)
        event = event_of(run)
        try:
            return store.save(run, apply(run, event), observations_of(run, event), clock.now())
        except StaleRun:  # a ticker was faster: the event may not fit any more
            continue
