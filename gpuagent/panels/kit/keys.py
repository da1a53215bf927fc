"""Keys pressed in a panel stay in it: else the notebook's shortcuts take them, and X cuts the cell with the panel."""

from typing import Any

from IPython.display import display

GUARD = """
const body = document.body;
if (!body.dataset.gpuagentKeys) {
  body.dataset.gpuagentKeys = 'kept';
  body.addEventListener('keydown', event => {
    const chord = event.ctrlKey || event.metaKey || event.altKey;
    if (!chord && event.target.closest('.ga-panel')) event.stopPropagation();
  });
}
"""
"""Ends a key press in any panel of the page after the panel has had it, before JupyterLab's listener on the document.

An attribute on the panel would not: the shortcuts' selector matches the focused element itself. Ctrl+S passes.
"""


def show_panel(bundle: dict[str, Any]) -> None:
    """Display a panel, whose widget has the class ga-panel, as the output of the cell that runs."""
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    display({"application/javascript": f"{{{GUARD}}}", "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
