"""The buttons that move a run: Step, Tick, Auto, Pause, Dry run."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import ipywidgets as w

from gpuagent.agent.drive import drive
from gpuagent.agent.dry_run import DryRun, simulate
from gpuagent.core.model import Run
from gpuagent.core.transitions import is_over, phase
from gpuagent.errors import GpuAgentError
from gpuagent.panels.dry_run import rehearsed
from gpuagent.panels.kit.fields import button, row
from gpuagent.panels.kit.message import Message
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.session import Desk
from gpuagent.tick import step, tick


class Driving:
    """widget: the row of buttons. run_id: which run is open, "" for none."""

    def __init__(self, desk: Desk, bridge: Bridge, run_id: Callable[[], str]) -> None:
        self._desk, self._bridge, self._run_id = desk, bridge, run_id
        self.message = Message()
        self._errand = Errand(bridge, self.message, self._draw)
        self._movable, self._paused = False, asyncio.Event()
        self._driven = ""
        self.step = button("Step", lambda: self._move("Step", step), tip="Make the one transition that is due")
        self.tick = button("Tick", lambda: self._move("Tick", tick), tip="Make steps until the run must wait")
        self.auto = button("Auto", self._start, "primary", "Tick again and again, until the run is over")
        self.interval = w.BoundedFloatText(
            value=desk.agent.ports.pace.poll_s,
            min=0.1,
            max=3600,
            step=0.5,
            description="every, s",
            style={"description_width": "56px"},
            layout=w.Layout(width="136px"),
        )
        self.pause = button("Pause", self._stop, tip="Stop Auto after the tick that is under way")
        self.dry_run = button("Dry run", self._rehearse, tip="Show what the next purchase would be; signs nothing")
        self.widget = w.VBox(
            [
                row(self.step, self.tick, self.auto, self.interval, self.pause, self.dry_run),
                self.message.widget,
            ]
        )
        self._draw()

    def show(self, run: Mapping[str, Any] | None) -> None:
        """run: the document of the open run."""
        self.widget.layout.display = "" if run else "none"
        self._movable = run is not None and (run["status"] == "running" or bool(run["held"].to_decimal()))
        self._draw()

    def _draw(self) -> None:
        idle = self._movable and not self._errand.busy and not self._driven
        for made in (self.step, self.tick, self.auto, self.dry_run):
            made.disabled = not idle
        self.pause.disabled = not self._driven or self._paused.is_set()

    def _move(self, name: str, move: Callable[..., Run]) -> None:
        run_id, ports = self._run_id(), self._desk.agent.ports
        began = time.monotonic()

        def done(run: Run) -> None:
            took_s = time.monotonic() - began
            self.message.say(f"{name} took {took_s:.2f} s: the run is in {phase(run)}{_why(run)}.")

        self._errand.run(f"{name} under way", lambda: move(run_id, ports), done)

    def _rehearse(self) -> None:
        run_id, ports = self._run_id(), self._desk.agent.ports

        def done(found: DryRun) -> None:
            self.message.say(rehearsed(found))

        self._errand.run("Asking for quotes", lambda: simulate(ports.store.load(run_id), ports), done)

    def _start(self) -> None:
        if not self._driven:
            self._driven = self._run_id()
            self._paused.clear()
            self._draw()
            self._bridge.spawn(self._drive)

    def _stop(self) -> None:
        self._paused.set()
        self._draw()

    async def _drive(self) -> None:
        run_id = self._driven
        told = f"Auto ticks run {run_id}; Pause stops it."
        self.message.say(told)
        try:
            ports = self._desk.agent.ports
            run = await asyncio.to_thread(ports.store.load, run_id)
            # Pauses are made here, where Pause ends them and a change of the interval counts at once.
            ticks = drive(run, partial(tick, ports=ports), lambda _: None, ports.pace, patient=True)
            while not self._paused.is_set():
                made = await asyncio.to_thread(next, ticks, None)
                run = made.run if made else run
                if is_over(run):
                    self.message.say(f"Auto is done: the run is in {phase(run)}{_why(run)}.")
                    return
                if made and made.error:
                    self.message.error(f"{made.error}. Auto tries again.")
                else:
                    self.message.say(told)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._paused.wait(), self.interval.value)
            self.message.say("Paused.")
        except GpuAgentError as error:
            self.message.error(f"Auto stopped: {error}")
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.message.error(f"Auto stopped by a bug: {type(error).__name__}: {error}")
        finally:
            self._driven = ""
            self._draw()


def _why(run: Run) -> str:
    return f" ({run.reason})" if run.reason else ""
