"""The inbox of the console: everything that waits for a user, over all runs; several approvals at one click."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import ipywidgets as w

from gpuagent.agent.approve_each import PurchaseChoice, approve_each
from gpuagent.core.inbox import Inbox, InboxItem, Waiting
from gpuagent.core.money import show_usd
from gpuagent.core.rights import Right
from gpuagent.errors import BadInput, GpuAgentError
from gpuagent.panels.kit.fields import button, row
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.tables import deadline
from gpuagent.render.inbox import HEADINGS
from gpuagent.session import Session

LABEL = "Inbox"


class InboxForm:
    """The inbox. widget: all of it, which stands behind a button that has its badge."""

    def __init__(self, session: Session, tasks: Tasks, name: Callable[[], str]) -> None:
        """name: the user's name, or raises BadInput after showing what is wrong with it."""
        self._session, self._tasks, self._name = session, tasks, name
        self._badge: Any = None
        self._stale = self._reading = False
        self._inbox = Inbox()
        self._boxes: dict[PurchaseChoice, Any] = {}
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw_buttons, Right.APPROVE)
        self.choices, self.rest = w.VBox([]), html_widget()
        self.approve = button("Approve", self._approve, "success", "Agree to each chosen purchase at its price")
        self.seen = button("Mark failed runs as seen", self._see, tip="Take them out of the inbox, for everybody")
        permitted = [
            control
            for control, right in ((self.approve, Right.APPROVE), (self.seen, Right.CANCEL))
            if tasks.rights.has(right)
        ]
        self.widget = w.VBox([self.choices, row(*permitted), self.message.widget, self.rest])
        self._draw()

    def badge_on(self, toggle: Any) -> None:
        """The button whose label says how much waits."""
        self._badge = toggle
        self._draw()

    def refresh(self) -> None:
        """Read and draw anew, soon; of several requests meanwhile, once."""
        self._stale = True
        if not self._reading:
            self._reading = True
            self._tasks.spawn(self._read)

    async def _read(self) -> None:
        database = self._session.agent.database
        try:
            while self._stale:
                self._stale = False
                self._inbox = await asyncio.to_thread(lambda: database.inbox.read(database.store.now()))
                self._draw()
        except GpuAgentError as error:
            self.message.error(str(error))
        finally:
            self._reading = False

    def _draw(self) -> None:
        """A purchase that still waits at its amount stays chosen; one at another amount is another choice."""
        boxes = {}
        for item in self._inbox.approvals:
            choice = PurchaseChoice(item.run_id, item.amount, item.job_id)
            box = self._boxes.get(choice)
            if box is None:
                box = w.Checkbox(value=False, indent=False, layout=w.Layout(width="100%"))
                box.add_class("ga-choice")
                box.observe(lambda _: self._draw_buttons(), "value")
            box.description = _question(item)
            boxes[choice] = box
        if list(boxes.values()) != list(self.choices.children):
            self.choices.children = tuple(boxes.values())
        self._boxes = boxes
        self.rest.value = styled(_list(self._inbox))
        if self._badge is not None:
            badge = self._inbox.badge
            self._badge.description = f"{LABEL} ({badge})" if badge else LABEL
            self._badge.tooltip = f"{badge or 'Nothing'} waits for you"
        self._draw_buttons()

    @property
    def chosen(self) -> list[PurchaseChoice]:
        return [choice for choice, box in self._boxes.items() if box.value]

    def _draw_buttons(self) -> None:
        chosen = self.chosen
        total = show_usd(sum(choice.amount for choice in chosen))
        self.approve.description = f"Approve {len(chosen)}, {total} in all" if chosen else "Approve the chosen"
        self.approve.disabled = self._task.busy or not chosen
        self.approve.layout.display = "" if self._boxes else "none"
        self.seen.disabled = self._task.busy
        self.seen.layout.display = "" if self._failed else "none"

    @property
    def _failed(self) -> list[str]:
        return [item.run_id for item in self._inbox.items if item.kind is Waiting.FAILED]

    def _approve(self) -> None:
        chosen, ports = self.chosen, self._session.agent.ports
        by = self._signed()
        if by:
            self._task.run(
                "Approving",
                lambda: approve_each(chosen, by, self._session.agent.store, ports.clock),
                lambda problems: self._say_approved(chosen, problems),
            )

    def _signed(self) -> str:
        try:
            return self._name()
        except BadInput as error:
            self.message.error(f"{error}: write it beside Your name")
            return ""

    def _say_approved(self, chosen: Sequence[PurchaseChoice], problems: Sequence[str]) -> None:
        refused = [problem for problem in problems if problem]
        approved = [choice.amount for choice, problem in zip(chosen, problems, strict=True) if not problem]
        text = f"Approved {len(approved)}, {show_usd(sum(approved))} in all: signed at the runs' next ticks."
        if refused:
            self.message.error(join(text, *(el("div", f"Not approved: {problem}") for problem in refused)))
        else:
            self.message.say(text)
        self.refresh()

    def _see(self) -> None:
        by, run_ids, database = self._signed(), self._failed, self._session.agent.database

        def finish(count: int) -> None:
            self.message.say(f"{count} failed runs are seen.")
            self.refresh()

        if by:
            see = partial(database.inbox.see, run_ids, by, database.store.now())
            self._task.run("Noting", see, finish, Right.CANCEL)


def _question(item: InboxItem) -> str:
    until = deadline(datetime.fromtimestamp(item.expires_at, UTC))
    return f"{item.title}, until {until}, run {item.run_id}"


def _list(inbox: Inbox) -> Html:
    """What waits beside approvals, and what answers each."""
    if not inbox.items:
        return el("p", "Nothing waits for you.", class_="faint")
    parts = []
    for kind, heading in HEADINGS.items():
        items = [item for item in inbox.items if item.kind is kind]
        if items and kind is not Waiting.APPROVAL:
            entries = (el("li", item.title, " ", el("code", item.command)) for item in items)
            parts.append(join(el("h3", f"{heading} ({len(items)})"), el("ul", *entries)))
    if not parts:
        parts.append(el("p", "Nothing else waits for you.", class_="faint"))
    if inbox.more:
        parts.append(el("p", "There are more: answer these first.", class_="faint"))
    return join(*parts)
