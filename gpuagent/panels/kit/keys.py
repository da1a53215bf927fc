"""Keys pressed in a panel stay in it: else the notebook's shortcuts take them, and X cuts the cell with the panel.

The focus stays too: a button that is disabled while its work is under way loses it, and gets it back afterwards.
"""

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
  let pressed = null;
  body.addEventListener('focusin', event => { pressed = event.target; });
  body.addEventListener('pointerdown', event => { if (!event.target.closest('button')) pressed = null; });
  new MutationObserver(changes => changes.forEach(({ target }) => {
    const lost = !document.activeElement || document.activeElement === body || document.activeElement.disabled;
    if (target === pressed && !target.disabled && lost && target.closest('.ga-panel')) {
      target.focus({ preventScroll: true });
    }
  })).observe(body, { subtree: true, attributes: true, attributeFilter: ['disabled'] });
}
"""
"""Ends a key press in any panel of the page after the panel has had it, before JupyterLab's listener on the document.

An attribute on the panel would not: the shortcuts' selector matches the focused element itself. Ctrl+S passes.
"""


def show_panel(bundle: dict[str, Any]) -> None:
    """Display a panel, whose widget has the class ga-panel, as the output of the cell that runs."""
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    display({"application/javascript": f"{{{GUARD}}}", "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
