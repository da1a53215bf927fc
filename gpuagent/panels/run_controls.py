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
from gpuagent.core.run_state import phase
from gpuagent.core.steps import is_over
from gpuagent.errors import GpuAgentError
from gpuagent.panels.dry_run import dry_run_report
from gpuagent.panels.kit.fields import button, row
from gpuagent.panels.kit.message import StatusLine
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.subject import Subject
from gpuagent.session import Session
from gpuagent.tick import step, tick


class RunControls:
    """The buttons that move the open run. run_id: its id, "" for none. widget: the row of buttons."""

    def __init__(self, session: Session, tasks: Tasks, run_id: Callable[[], str]) -> None:
        self._session, self._tasks, self._run_id = session, tasks, run_id
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw)
        self._movable = False
        self._paused = asyncio.Event()
        self._auto_run = ""
        self._subject = Subject(session.agent.store.load)
        self.step = button("Step", lambda: self._move("Step", step), tip="Make the one transition that is due")
        self.tick = button("Tick", lambda: self._move("Tick", tick), tip="Make steps until the run must wait")
        self.auto = button("Auto", self._start, "primary", "Tick again and again, until the run is over")
        self.interval = w.BoundedFloatText(
            value=session.agent.ports.pace.poll_s,
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
        """run: the document of the open run. What was said of another, or of this one before it moved on, is erased."""
        self.widget.layout.display = "" if run else "none"
        if not self._task.busy and not self._auto_run and self._subject.is_outdated(run):
            self.message.clear()
        self._movable = run is not None and (run["status"] == "running" or bool(run["held"].to_decimal()))
        self._draw()

    def say_started(self, run: Run, note: str) -> None:
        self._subject.become(run)
        self.message.say(f"Started run {run.run_id}: Step or Tick moves it, Auto to its end. {note}")

    def _draw(self) -> None:
        idle = self._movable and not self._task.busy and not self._auto_run
        for control in (self.step, self.tick, self.auto, self.dry_run):
            control.disabled = not idle
        self.pause.disabled = not self._auto_run or self._paused.is_set()

    def _move(self, name: str, move: Callable[..., Run]) -> None:
        run_id, ports = self._run_id(), self._session.agent.ports
        started_at = time.monotonic()

        def finish(run: Run) -> None:
            duration_s = time.monotonic() - started_at
            self.message.say(f"{name} took {duration_s:.2f} s: the run is in {phase(run)}{_reason(run)}.")

        self._task.run(f"{name} under way", self._subject.followed(run_id, lambda: move(run_id, ports)), finish)

    def _rehearse(self) -> None:
        run_id, ports = self._run_id(), self._session.agent.ports

        def finish(rehearsal: DryRun) -> None:
            self.message.say(dry_run_report(rehearsal))

        rehearse = self._subject.followed(run_id, lambda: simulate(ports.store.load(run_id), ports))
        self._task.run("Asking for quotes", rehearse, finish)

    def _start(self) -> None:
        if not self._auto_run and self._task.permits():
            self._auto_run = self._run_id()
            self._paused.clear()
            self._draw()
            self._tasks.spawn(self._drive)

    def _stop(self) -> None:
        self._paused.set()
        self._draw()

    async def _drive(self) -> None:
        run_id = self._auto_run
        activity = f"Auto ticks run {run_id}; Pause stops it."
        self.message.say(activity)
        try:
            ports = self._session.agent.ports
            run = await asyncio.to_thread(ports.store.load, run_id)
            # Pauses are made here, where Pause ends them and a change of the interval counts at once.
            ticks = drive(run, partial(tick, ports=ports), lambda _: None, ports.pace, patient=True)
            while not self._paused.is_set():
                attempt = await asyncio.to_thread(next, ticks, None)
                run = attempt.run if attempt else run
                if is_over(run):
                    self.message.say(f"Auto is done: the run is in {phase(run)}{_reason(run)}.")
                    return
                if attempt and attempt.error:
                    self.message.error(f"Run {run_id}: {attempt.error}. Auto tries again.")
                else:
                    self.message.say(activity)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._paused.wait(), self.interval.value)
            self.message.say("Paused.")
        except GpuAgentError as error:
            self.message.error(f"Auto stopped: {error}")
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.message.error(f"Auto stopped by a bug: {type(error).__name__}: {error}")
        finally:
            await asyncio.to_thread(self._subject.follow, run_id)
            self._auto_run = ""
            self._draw()


def _reason(run: Run) -> str:
    return f" ({run.reason})" if run.reason else ""
