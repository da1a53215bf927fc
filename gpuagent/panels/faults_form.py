"""Switches for the practice vendors' faults: turn one on, tick, and watch the agent recover."""

from typing import Any

import ipywidgets as w

from gpuagent.panels.kit.fields import button, card, row
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import Message, html
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.practice.faults import FAULTS
from gpuagent.session import Desk

NONE = "The vendors are not practice vendors: they have no switches. `gpuagent lab` without a configuration has some."


class FaultsForm:
    """widget: one switch for each practice vendor and fault; what is on is asked of the market itself."""

    def __init__(self, desk: Desk, bridge: Bridge) -> None:
        self.message = Message()
        self._faults, self._drawing = desk.faults, False
        self._on: set[tuple[str, str]] = set()
        self._errand = Errand(bridge, self.message, self._draw)
        self.switches: dict[tuple[str, str], Any] = {}
        if desk.faults is None:
            self.widget = card(html(el("p", NONE, class_="faint")))
            return
        market = desk.environment["VENDOR_URL"].rstrip("/")
        rows = [
            row(*(self._switch(vendor.vendor_id, fault) for fault in FAULTS))
            for vendor in desk.agent.store.vendors()
            if vendor.endpoint.rstrip("/") == market
        ]
        self.heal = button("All off", self._heal, tip="Vendors behave well again")
        words = "From now on, and only on the practice market:"
        self.widget = card(html(el("p", words, class_="faint")), *rows, row(self.heal), self.message.widget)
        self.look()

    def look(self) -> None:
        """Draw what is on."""
        if faults := self._faults:
            self._errand.run("Asking the practice market", faults.on, self._told)

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

        self._errand.run("Switching", turn, self._told)

    def _heal(self) -> None:
        faults = self._faults
        if faults is None:
            return

        def heal() -> set[tuple[str, str]]:
            for vendor_id, fault in faults.on():
                faults.switch(vendor_id, fault, on=False)
            return faults.on()

        self._errand.run("Switching", heal, self._told)

    def _told(self, on: set[tuple[str, str]]) -> None:
        self._on = on
        told = ", ".join(f"{vendor_id}: {FAULTS[fault]}" for vendor_id, fault in sorted(on))
        self.message.say(f"On: {told}." if told else "No fault is on.")

    def _draw(self) -> None:
        """What is on is what the market said last, whatever was clicked."""
        self._drawing = True
        for key, box in self.switches.items():
            box.disabled = self._errand.busy
            if not self._errand.busy:
                box.value = key in self._on
        self._drawing = False
