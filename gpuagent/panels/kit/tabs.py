"""Tabs: parts of a panel, each behind its button, at most one in sight."""

from collections.abc import Mapping
from typing import Any

import ipywidgets as w

from gpuagent.panels.kit.fields import row


class Tabs:
    """Parts of a panel behind buttons. buttons: by part. bar: the buttons in a row. panes: the parts, hidden first."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.buttons = {name: w.ToggleButton(description=name, tooltip=f"Show: {name}") for name in parts}
        self.bar, self.panes = row(*self.buttons.values()), tuple(parts.values())
        self._parts = parts
        for name, toggle in self.buttons.items():
            toggle.observe(lambda change, name=name: self._show(name, change["new"]), "value")
            self._show(name, down=False)

    def _show(self, name: str, down: bool) -> None:
        self._parts[name].layout.display = "" if down else "none"
        self.buttons[name].tooltip = f"{'Hide' if down else 'Show'}: {name}"  # a screen reader's sign of what is shown
        if down:
            for neighbour, toggle in self.buttons.items():
                if neighbour != name:
                    toggle.value = False
