"""Parts of a panel that are shown when their button is down: at most one, so that the run stays in sight."""

from collections.abc import Mapping
from typing import Any

import ipywidgets as w

from gpuagent.panels.kit.fields import row


def sections(parts: Mapping[str, Any]) -> tuple[dict[str, Any], Any, tuple[Any, ...]]:
    """The buttons by name, their row, and the parts."""
    toggles = {name: w.ToggleButton(description=name, tooltip=f"Show or hide: {name}") for name in parts}

    def show(name: str, down: bool) -> None:
        parts[name].layout.display = "" if down else "none"
        if down:
            for other, toggle in toggles.items():
                if other != name:
                    toggle.value = False

    for name, toggle in toggles.items():
        toggle.observe(lambda change, name=name: show(name, change["new"]), "value")
        show(name, down=False)
    return toggles, row(*toggles.values()), tuple(parts.values())
