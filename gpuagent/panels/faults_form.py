"""Switches for the practice vendors' faults: turn one on, tick, and watch the agent recover."""

from typing import Any

import ipywidgets as w

from gpuagent.panels.kit.fields import button, card, row
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import StatusLine, html_widget
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.practice.faults import FAULTS
from gpuagent.session import Session

NO_SWITCHES = "The vendors are not practice vendors, so they have no switches: `gpuagent lab` unconfigured has some."


class FaultsForm:
    """The form with a switch for each practice vendor and fault, as the market itself has them. widget: the form."""

    def __init__(self, session: Session, tasks: Tasks) -> None:
        self.message = StatusLine()
        self._faults = session.faults
        self._drawing = False
        self._active: set[tuple[str, str]] = set()
        self._task = ExclusiveTask(tasks, self.message, self._draw)
        self.switches: dict[tuple[str, str], Any] = {}
        if session.faults is None:
            self.widget = card(html_widget(el("p", NO_SWITCHES, class_="faint")))
            return
        market = session.environment["VENDOR_URL"].rstrip("/")
        rows = [
            row(*(self._switch(vendor.vendor_id, fault) for fault in FAULTS))
            for vendor in session.agent.store.vendors()
            if vendor.endpoint.rstrip("/") == market
        ]
        self.heal = button("All off", self._heal, tip="Vendors behave well again")
        scope = "From now on, and only on the practice market:"
        self.widget = card(html_widget(el("p", scope, class_="faint")), *rows, row(self.heal), self.message.widget)
        self.refresh()

    def refresh(self) -> None:
        """Read from the market which faults are on, and draw them."""
        if faults := self._faults:
            self._task.run("Asking the practice market", faults.on, self._show)

    def _switch(self, vendor_id: str, fault: str) -> Any:
        box = w.Checkbox(
            description=f"{vendor_id}: {FAULTS[fault]}", indent=False, layout=w.Layout(width="320px", max_width="100%")
        )
        box.observe(lambda change: self._turn(vendor_id, fault, change["new"]), "value")
        self.switches[vendor_id, fault] = box
        return box

    def _turn(self, vendor_id: str, fault: str, on: bool) -> None:
        faults = self._faults
        if self._drawing or faults is None:
            return

        def turn() -> set[tuple[str, str]]:
            faults.switch(vendor_id, fault, on)
            return faults.on()

        self._task.run("Switching", turn, self._show)

    def _heal(self) -> None:
        faults = self._faults
        if faults is None:
            return

        def heal() -> set[tuple[str, str]]:
            for vendor_id, fault in faults.on():
                faults.switch(vendor_id, fault, on=False)
            return faults.on()

        self._task.run("Switching", heal, self._show)

    def _show(self, active: set[tuple[str, str]]) -> None:
        self._active = active
        names = ", ".join(f"{vendor_id}: {FAULTS[fault]}" for vendor_id, fault in sorted(active))
        self.message.say(f"On: {names}." if names else "No fault is on.")

    def _draw(self) -> None:
        """The switches show the market's last answer, whatever was clicked."""
        self._drawing = True
        for key, box in self.switches.items():
            box.disabled = self._task.busy
            if not self._task.busy:
                box.value = key in self._active
        self._drawing = False
