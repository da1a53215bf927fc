"""What a user's rights leave of the console. It spares them what would be refused; the callbacks are what refuses."""

from collections.abc import Mapping
from typing import Any, Protocol

from gpuagent.core.rights import Right, Rights
from gpuagent.panels.approval_form import ApprovalForm
from gpuagent.panels.kill_switch import KillSwitch
from gpuagent.panels.kit.tabs import Tabs
from gpuagent.panels.run_controls import RunControls

TABS: Mapping[str, Right] = {
    "New run": Right.OPERATE,
    "Inbox": Right.LOOK,
    "Limits": Right.ADMINISTER,
    "Find vendors": Right.ADMINISTER,
    "Practice faults": Right.OPERATE,
}
"""The right that a tab takes; one that is not named here takes none, as far as it is shown."""


class ConsoleParts(Protocol):
    """A console's parts that take a right."""

    controls: RunControls
    approval: ApprovalForm
    kill_switch: KillSwitch
    tabs: Tabs
    widget: Any


def leave_permitted(console: ConsoleParts, rights: Rights) -> None:
    """Take out of the console's widget what the user has no right to. What was taken out is drawn on, unseen."""
    tabs = console.tabs
    forbidden: set[Any] = {
        part
        for part, right in (
            (console.controls.widget, Right.OPERATE),
            (console.kill_switch.widget, Right.OPERATE),
        )
        if not rights.has(right)
    }
    names = {name for name in tabs.buttons if not rights.has(TABS.get(name, Right.LOOK))}
    for name in names:
        tabs.buttons[name].value = False
    tabs.bar.children = tuple(tabs.buttons[name] for name in tabs.buttons if name not in names)
    panes = {pane for name, pane in zip(tabs.buttons, tabs.panes, strict=True) if name in names}
    form, question = console.approval.widget, console.approval.request
    parts = [part for part in console.widget.children if part not in forbidden | panes]
    if not rights.has(Right.CANCEL):  # that something waits is for everybody to see
        parts = [question if part is form else part for part in parts]
    console.widget.children = tuple(parts)
