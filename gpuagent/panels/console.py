"""The control room: launch, open, watch, drive and stop runs. All it shows is read from MongoDB and the chain."""

import asyncio
from typing import Any

import ipywidgets as w

from gpuagent.core.model import Run
from gpuagent.errors import GpuAgentError
from gpuagent.panels.approval_form import Deciding
from gpuagent.panels.event_log import FILTERS, LINES_MAX
from gpuagent.panels.faults_form import FaultsForm
from gpuagent.panels.kit.html import el, join
from gpuagent.panels.kit.message import Message, html, shown
from gpuagent.panels.kit.style import sheet
from gpuagent.panels.kit.tabs import sections
from gpuagent.panels.kit.tasks import Bridge
from gpuagent.panels.launch_form import LaunchForm
from gpuagent.panels.limits_form import LimitsForm
from gpuagent.panels.run_controls import Driving
from gpuagent.panels.run_view import RunView, page
from gpuagent.panels.snapshot import Reading, colours, listed, newest, read, title
from gpuagent.panels.watcher import Live, News
from gpuagent.session import Desk


class Console:
    """Shown by being the last value of a cell. run_id: the open run, "" for none. close() ends its watching."""

    def __init__(self, desk: Desk, run_id: str = "") -> None:
        """Raises UnknownRun; run_id empty: the newest run that is still running, or else the newest."""
        self._desk, self._bridge = desk, Bridge()
        self._drawing = self._reading = self._again = False
        self.driving = Driving(desk, self._bridge, lambda: self.run_id)
        self.deciding = Deciding(desk, self._bridge, lambda: self.run_id)
        self.form = LaunchForm(desk, self._bridge, self.deciding.name, self._started)
        self.limits = LimitsForm(desk, self._bridge, self.deciding.name)
        self.faults = FaultsForm(desk, self._bridge)
        self.view = RunView(self.refresh)
        self.problem, self._title = Message(), html()
        self.runs = w.Select(description="Runs", rows=4, layout=w.Layout(width="100%", height="86px"))
        self.runs.style.description_width = "40px"
        self.runs.add_class("ga-runs")
        self.sections, toggles, panes = sections(
            {"New run": self.form.widget, "Limits": self.limits.widget, "Practice faults": self.faults.widget}
        )
        self.run_id = run_id or newest(desk)
        self._shown_id = self.run_id
        self._draw(self._read(self.run_id))
        self.sections["New run"].value = not self.run_id
        self.runs.observe(lambda change: None if self._drawing else self.open(change["new"] or ""), "value")
        self.widget = w.VBox(
            [
                w.HTML(value=sheet(), layout=w.Layout(display="none")),
                self._title,
                toggles,
                *panes,
                self.runs,
                self.problem.widget,
                self.view.top,
                self.driving.widget,
                self.deciding.widget,
                self.view.bottom,
            ],
            layout=w.Layout(grid_gap="6px", padding="4px 8px 12px", max_width="1180px"),
        )
        self.widget.add_class("ga-panel")
        self._live = Live(desk.agent.database, self._bridge, self._told)
        self._live.start()

    def open(self, run_id: str) -> None:
        self.run_id = run_id
        self.refresh()

    def _started(self, run: Run) -> None:
        self.sections["New run"].value = False
        self.driving.message.say(f"Started run {run.run_id}: Step or Tick moves it, Auto to its end.")
        self.open(run.run_id)

    def refresh(self) -> None:
        """Read and draw anew, soon; of several requests meanwhile, once."""
        self._again = True
        if not self._reading:
            self._reading = True
            self._bridge.spawn(self._refresh)

    def close(self) -> None:
        self._live.close()

    def ended(self, within_s: float) -> bool:
        """Whether its watching has ended, once it was closed. Blocks."""
        return self._live.join(within_s)

    async def settled(self) -> None:
        """Returns once nothing that was clicked is under way."""
        await self._bridge.settled()

    def _told(self, news: News) -> None:
        if news.problem:
            self.problem.error(f"{news.problem}. What is shown may be old; watching goes on.")
            return
        self.problem.clear()
        self.refresh()

    async def _refresh(self) -> None:
        try:
            while self._again:
                self._again = False
                wanted = self.run_id
                found = await asyncio.to_thread(self._read, wanted)
                if wanted == self.run_id:  # else another was opened meanwhile, which asked for another look
                    self._draw(found)
        except GpuAgentError as error:
            self.problem.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.problem.error(f"a bug: {type(error).__name__}: {error}")
        finally:
            self._reading = False

    def _read(self, run_id: str) -> Reading:
        return read(self._desk, run_id, *self.view.filters)

    def _draw(self, found: Reading) -> None:
        self._drawing = True
        options = [(listed(run), str(run["_id"])) for run in found.runs]
        if tuple(options) != tuple(self.runs.options):
            self.runs.options = options
        self.runs.value = self.run_id or None
        self.runs.layout.display = "" if options else "none"
        self._drawing = False
        if self.run_id != self._shown_id:
            self.deciding.message.clear()
            self._shown_id = self.run_id
        self._title.value = shown(title(self._desk, found.balance))
        self.view.show(found.seen, found.colours)
        self.driving.show(found.seen.run if found.seen else None)
        self.deciding.show(found.seen, found.policy)
        self.limits.show(found.policy)
        self.form.show(found.policy)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widgets, and for where there are none what they show, as HTML and as a line."""
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        reads = self._desk.agent.reads
        seen = reads.glance(self.run_id, FILTERS["Everything"], "", LINES_MAX + 1) if self.run_id else None
        content = page(seen, colours(self._desk)) if seen else el("p", "No runs yet.")
        told = f"run {seen.run['_id']}: {seen.run['phase']}" if seen else "no runs yet"
        return {**bundle, "text/html": join(sheet(), shown(content)), "text/plain": f"gpuagent console, {told}"}
