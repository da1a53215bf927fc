"""A ticker that makes one step at a time, and may be killed between a step's effect and its save."""

from dataclasses import dataclass

from gpuagent.core.events import Event
from gpuagent.core.model import Run
from gpuagent.core.observations import observations_of
from gpuagent.core.steps import Step, next_steps
from gpuagent.core.transitions import apply
from gpuagent.errors import ChainError, Refused, StaleRun, VendorError, WalletError
from gpuagent.tick import perform
from tests.support.workshop import Workshop


@dataclass
class Ticker:
    """One of several tickers of a run in memory. run: as it last saw it."""

    world: Workshop
    run: Run

    def make(self, number: int, killed: bool) -> None:
        """Make one of the steps that it believes due. killed: after the effect, and before it is saved."""
        steps = next_steps(self.run, self.world.at)
        event = self._perform(steps[number % len(steps)]) if steps else None
        if event is None or killed:
            self.run = self.world.run
            return
        try:
            after = apply(self.run, event)
            self.run = self.world.save(self.run, after, observations_of(self.run, event), self.world.at)
        except StaleRun:
            self.run = self.world.run

    def _perform(self, step: Step) -> Event | None:
        try:
            return perform(step, self.run, self.world.ports)
        except (Refused, ChainError, VendorError, WalletError, StaleRun):
            return None  # as a tick leaves it for the next
