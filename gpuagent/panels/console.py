"""The control room: launch, open, watch, drive and stop runs. All it shows is read from MongoDB and the chain."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as w

from gpuagent.adapters.mongo_glance import Glance
from gpuagent.desk import Desk
from gpuagent.errors import ChainError, GpuAgentError
from gpuagent.money import show_usd
from gpuagent.palette import vendor_colours
from gpuagent.panels.bridge import Bridge
from gpuagent.panels.deciding import Deciding
from gpuagent.panels.driving import Driving
from gpuagent.panels.faults_form import FaultsForm
from gpuagent.panels.launch_form import LaunchForm
from gpuagent.panels.limits import LimitsForm
from gpuagent.panels.live import Live, News
from gpuagent.panels.log import FILTERS, LINES_MAX
from gpuagent.panels.markup import Html, el, join
from gpuagent.panels.message import Message, html, shown
from gpuagent.panels.run_view import RunView, page
from gpuagent.panels.sections import sections
from gpuagent.panels.style import sheet
from gpuagent.policy import Policy
from gpuagent.show import amount

RUNS_MAX = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the database and the chain found. seen: None while no run is open."""

    runs: list[Mapping[str, Any]]
    seen: Glance | None
    policy: Policy
    colours: Mapping[str, str]
    balance: str


class Console:
    """Shown by being the last value of a cell. close() ends its watching; nothing else is lost."""

    def __init__(self, desk: Desk, run_id: str = "") -> None:
        """Raises UnknownRun; run_id empty: the newest run that is still running, or else the newest."""
        self._desk, self._bridge = desk, Bridge()
        self._drawing = self._reading = self._again = False
        self.driving = Driving(desk, self._bridge, lambda: self.run_id)
        self.deciding = Deciding(desk, self._bridge, lambda: self.run_id)
        self.form = LaunchForm(desk, self._bridge, self.deciding.name, self.open)
        self.limits = LimitsForm(desk, self._bridge, self.deciding.name)
        self.faults = FaultsForm(desk, self._bridge)
        self.view = RunView(self.refresh)
        self.problem, self._title = Message(), html()
        self.runs = w.Select(description="Runs", rows=5, layout=w.Layout(width="100%"))
        self.sections, toggles, panes = sections(
            {"New run": self.form.widget, "Limits": self.limits.widget, "Practice faults": self.faults.widget}
        )
        self._wanted = run_id or _newest(desk)
        self._draw(self._read(self._wanted))
        self.sections["New run"].value = not self.run_id
        self.runs.observe(lambda _: None if self._drawing else self.refresh(), "value")
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
        self._live = Live(desk.agent.store, self._bridge, self._told)
        self._live.start()

    @property
    def run_id(self) -> str:
        """The open run, "" for none."""
        return self.runs.value or ""

    def open(self, run_id: str) -> None:
        self._wanted = run_id
        self.refresh()

    def refresh(self) -> None:
        """Read and draw anew, soon; of several requests meanwhile, once."""
        self._again = True
        if not self._reading:
            self._reading = True
            self._bridge.spawn(self._refresh)

    def close(self) -> None:
        self._live.close()

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
                wanted = self._wanted or self.run_id
                self._draw(await asyncio.to_thread(self._read, wanted))
        except GpuAgentError as error:
            self.problem.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self.problem.error(f"a bug: {type(error).__name__}: {error}")
        finally:
            self._reading = False

    def _read(self, run_id: str) -> Reading:
        store, ports = self._desk.agent.store, self._desk.agent.ports
        types, contained = self.view.filters
        seen = store.glance(run_id, types, contained, self.view.limit) if run_id else None
        runs = store.runs(RUNS_MAX)
        if seen and seen.run["_id"] not in {run["_id"] for run in runs}:
            runs = [*runs, seen.run]
        try:
            balance = show_usd(self._desk.agent.chain.head(ports.wallet.address).balance)
        except ChainError as error:
            balance = f"unknown ({error})"
        return Reading(runs, seen, store.policy(), _colours(self._desk), balance)

    def _draw(self, found: Reading) -> None:
        opened = str(found.seen.run["_id"]) if found.seen else ""
        self._drawing = True
        options = [(_listed(run), str(run["_id"])) for run in found.runs]
        if tuple(options) != tuple(self.runs.options):
            self.runs.options = options
        self.runs.value = opened or None
        self._drawing, self._wanted = False, ""
        self._title.value = shown(_title(self._desk, found.balance))
        self.view.show(found.seen, found.colours)
        self.driving.show(found.seen.run if found.seen else None)
        self.deciding.show(found.seen, found.policy)
        self.limits.show(found.policy)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The widgets, and for where there are none what they show, as HTML and as a line."""
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        store = self._desk.agent.store
        seen = store.glance(self.run_id, FILTERS["Everything"], "", LINES_MAX + 1) if self.run_id else None
        content = page(seen, _colours(self._desk)) if seen else el("p", "No runs yet.")
        told = f"run {seen.run['_id']}: {seen.run['phase']}" if seen else "no runs yet"
        return {**bundle, "text/html": join(sheet(), shown(content)), "text/plain": f"gpuagent console, {told}"}


def _newest(desk: Desk) -> str:
    runs = desk.agent.store.runs(RUNS_MAX)
    running = [run for run in runs if run["status"] == "running"]
    return str((running or runs)[0]["_id"]) if runs else ""


def _colours(desk: Desk) -> Mapping[str, str]:
    return vendor_colours([vendor.vendor_id for vendor in desk.agent.store.vendors()])


def _listed(run: Mapping[str, Any]) -> str:
    at = run["createdAt"].astimezone().strftime("%d %b %H:%M")
    spent = show_usd(amount(run["settled"]))
    return f"{run['phase']}  ·  {at}  ·  {spent} of {show_usd(amount(run['budgetTotal']))}  ·  {run['goal'][:60]}"


def _title(desk: Desk, balance: str) -> Html:
    wallet = desk.agent.ports.wallet
    market = "practice market" if desk.faults else wallet.token.network
    words = ("wallet ", el("code", f"{wallet.address[:8]}…{wallet.address[-4:]}", title=wallet.address), " holds ")
    where = f", {market}, database {desk.settings.database}"
    return el(
        "div",
        el("h2", "gpuagent console"),
        el("span", *words, el("b", balance), where, class_="faint"),
        class_="head",
    )
