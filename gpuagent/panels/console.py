"""The run console: launch, open, watch, control and stop runs. All it shows is read from MongoDB and the chain."""

import asyncio
from typing import Any

import ipywidgets as w

from gpuagent.agent.start import Order
from gpuagent.core.model import Run
from gpuagent.core.rights import Right
from gpuagent.errors import GpuAgentError
from gpuagent.panels.approval_form import ApprovalForm
from gpuagent.panels.faults_form import FaultsForm
from gpuagent.panels.files_form import FilesForm
from gpuagent.panels.inbox import InboxForm
from gpuagent.panels.kill_switch import KillSwitch
from gpuagent.panels.kit.html import el, join
from gpuagent.panels.kit.keys import show_panel
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.style import sheet
from gpuagent.panels.kit.tabs import Tabs
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.panels.launch_fill import fill
from gpuagent.panels.launch_form import LaunchForm
from gpuagent.panels.limits_form import LimitsForm
from gpuagent.panels.permitted import leave_permitted
from gpuagent.panels.run_controls import RunControls
from gpuagent.panels.run_table import RunTable
from gpuagent.panels.run_view import NO_RUN, NO_RUN_TO_START, RunView, page
from gpuagent.panels.snapshot import (
    ConsoleSnapshot,
    console_title,
    default_run,
    read_run,
    registry_colours,
    take_snapshot,
)
from gpuagent.panels.timeline.run_tools import RunTools
from gpuagent.panels.vendors_form import VendorsForm
from gpuagent.panels.watcher import Update, Watcher
from gpuagent.session import Session


class Console:
    """The console of one session, shown by being the last value of a cell. run_id: the open run, "" for none."""

    TIME_S = 15.0
    """Seconds after which the durations on the screen are drawn anew."""

    def __init__(self, session: Session, run_id: str = "") -> None:
        """Raises UnknownRun; run_id empty: the newest run that is still running, or else the newest."""
        self._session, self._tasks = session, Tasks(session.rights)
        self._refreshing = False
        self._stale = False
        self._running = self._timed = self._closed = False
        self.controls = RunControls(session, self._tasks, lambda: self.run_id)
        self.approval = ApprovalForm(session, self._tasks, lambda: self.run_id)
        self.kill_switch = KillSwitch(session, self._tasks, self.approval)
        self.launch_form = LaunchForm(session, self._tasks, self.approval.name, self._started)
        self.limits = LimitsForm(session, self._tasks, self.approval.name)
        self.faults = FaultsForm(session, self._tasks)
        self.vendors = VendorsForm(session, self._tasks)
        self.inbox = InboxForm(session, self._tasks, self.approval.name)
        self.files = FilesForm(session, self._tasks)
        no_run = NO_RUN if session.rights.has(Right.OPERATE) else NO_RUN_TO_START
        self.view = RunView(self.refresh, self.files, no_run)
        self.problem, self._title = StatusLine(), html_widget()
        self.tabs = Tabs(
            {
                "New run": self.launch_form.widget,
                "Inbox": self.inbox.widget,
                "Limits": self.limits.widget,
                "Find vendors": self.vendors.widget,
                "Practice faults": self.faults.widget,
            }
        )
        self.inbox.badge_on(self.tabs.buttons["Inbox"])
        new_run = self.tabs.buttons["New run"]
        new_run.observe(lambda change: self.launch_form.show_prices() if change["new"] else None, "value")
        self.tools = RunTools(
            session.agent, self._tasks, lambda: registry_colours(session), lambda: self.runs.ids, self._copied
        )
        self.run_id = run_id or default_run(session)
        vendor_ids = session.agent.reads.vendor_ids()
        self.runs = RunTable(session.agent.reads, self._tasks, self.open, vendor_ids, self.run_id)
        self._draw(self._snapshot(self.run_id))
        new_run.value = not self.run_id
        self.widget = self._layout()
        leave_permitted(self, session.rights)
        self._watcher = Watcher(session.agent.database, self._tasks, self._notify)
        self._watcher.start()

    def open(self, run_id: str) -> None:
        """Show another run."""
        self.run_id = run_id
        self.runs.grid.show_chosen(run_id)
        self.refresh()

    def refresh(self) -> None:
        """Read and draw anew, soon; of several requests meanwhile, once."""
        self._stale = True
        if not self._refreshing:
            self._refreshing = True
            self._tasks.spawn(self._refresh)

    def close(self) -> None:
        """End the watching."""
        self._closed = True
        self._watcher.close()

    def ended(self, within_s: float) -> bool:
        """Whether the watching has ended, once it was closed. Blocks."""
        return self._watcher.join(within_s)

    async def settled(self) -> None:
        """Returns once no action of a button is under way."""
        await self._tasks.settled()

    def _layout(self) -> w.VBox:
        widget = w.VBox(
            [
                w.HTML(value=sheet(), layout=w.Layout(display="none")),
                self._title,
                self.tabs.bar,
                *self.tabs.panes,
                self.runs.widget,
                self.problem.widget,
                self.kill_switch.halts,
                self.view.top,
                self.controls.widget,
                self.tools.widget,
                self.approval.widget,
                self.kill_switch.widget,
                self.view.bottom,
            ],
            layout=w.Layout(grid_gap="6px", padding="4px 8px 12px", max_width="1180px"),
        )
        widget.add_class("ga-panel")
        return widget

    def _started(self, run: Run, note: str) -> None:
        self.tabs.buttons["New run"].value = False
        self.controls.say_started(run, note)
        self.open(run.run_id)

    def _copied(self, order: Order) -> list[str]:
        notes = fill(self.launch_form, order)
        self.tabs.buttons["New run"].value = True
        return notes

    def _notify(self, update: Update) -> None:
        if update.problem:
            self.problem.error(f"{update.problem}. What is shown may be old; watching goes on.")
            return
        self.problem.clear()
        self.runs.grid.changed()
        self.refresh()

    async def _refresh(self) -> None:
        try:
            while self._stale:
                self._stale = False
                run_id = self.run_id
                snapshot = await asyncio.to_thread(self._snapshot, run_id)
                if run_id == self.run_id:  # else another was opened meanwhile, and that asked for a refresh
                    self._draw(snapshot)
        except GpuAgentError as error:
            self.problem.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.problem.error(f"a bug: {type(error).__name__}: {error}")
        finally:
            self._refreshing = False

    def _snapshot(self, run_id: str) -> ConsoleSnapshot:
        return take_snapshot(self._session, run_id, *self.view.filters)

    def _draw(self, snapshot: ConsoleSnapshot) -> None:
        documents = snapshot.open_run.documents if snapshot.open_run else None
        self._title.value = styled(console_title(self._session, snapshot.balance))
        self.view.show(snapshot.open_run, snapshot.colours)
        self.controls.show(documents.run if documents else None)
        self.tools.show(self.run_id if documents else "")
        self.approval.show(documents)
        self.kill_switch.show(snapshot.policy)
        self.limits.show(snapshot.policy)
        self.inbox.refresh()
        self.launch_form.show(snapshot.policy)
        self._running = documents is not None and documents.run["status"] == "running"
        self._await_time()

    def _await_time(self) -> None:
        """Draw a running run anew after a while: how long it has taken grows though nothing is written."""
        if self._running and not self._timed:
            self._timed = True
            self._tasks.later(self.TIME_S, self._time_passed)

    def _time_passed(self) -> None:
        self._timed = False
        if self._running and not self._closed:
            self.refresh()

    def _ipython_display_(self) -> None:
        show_panel(self._repr_mimebundle_())

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widgets, and for where there are none what they show, as HTML and as a line."""
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        content, text = el("p", "No runs yet."), "no runs yet"
        if self.run_id:
            open_run = read_run(self._session, self.run_id)
            content = page(open_run, registry_colours(self._session))
            text = f"run {self.run_id}: {open_run.documents.run['phase']}"
        content = join(self.runs.html(), content) if self.runs.rows else content
        return {**bundle, "text/html": join(sheet(), styled(content)), "text/plain": f"gpuagent console, {text}"}
