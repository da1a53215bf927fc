"""What there is to do with the open run beside moving it: its timeline, another run beside it, and a copy to launch."""

from collections.abc import Callable, Mapping

import ipywidgets as w

from gpuagent.agent.order_like import order_like
from gpuagent.agent.start import Order
from gpuagent.core.rights import Right
from gpuagent.core.timeline import EntryKind
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import button, row
from gpuagent.panels.kit.html import Html
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tabs import Tabs
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.timeline.compare import ENTRIES_MAX, ComparedRun, comparison
from gpuagent.panels.timeline.timeline import TimelineView
from gpuagent.wiring import Agent
from gpuagent.wiring.database import Database

LOUD = tuple(kind for kind in EntryKind if kind is not EntryKind.MESSAGE)


class RunTools:
    """The buttons Timeline, Compare and Copy to a new run, and what they show. widget: all of it."""

    def __init__(
        self,
        agent: Agent,
        tasks: Tasks,
        colours: Callable[[], Mapping[str, str]],
        run_ids: Callable[[], list[str]],
        copied: Callable[[Order], list[str]],
    ) -> None:
        """run_ids: of runs to compare with. copied: takes an order into the launch form, and says what of it does
        not fit there. Both on the loop."""
        self._agent, self._run_ids, self._copied = agent, run_ids, copied
        self._run_id = ""
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, lambda: None, Right.LOOK)
        self.timeline = TimelineView(agent.database, tasks, colours)
        self.second = w.Combobox(
            description="Other run",
            placeholder="its id",
            style={"description_width": "72px"},
            layout=w.Layout(width="340px", max_width="100%"),
        )
        self.compare, self.compared = button("Show both", self._compare), html_widget()
        compare = w.VBox([row(self.second, self.compare), self.compared])
        self.tabs = Tabs({"Timeline": self.timeline.widget, "Compare": compare})
        self.copy = button(
            "Copy to a new run", self._copy, tip="Fill in the form above as this run was; starts nothing"
        )
        toggles = self.tabs.buttons
        toggles["Timeline"].observe(lambda change: self.timeline.show_in_sight(change["new"]), "value")
        toggles["Compare"].observe(lambda _: self._offer(), "value")
        copies = [self.copy] if tasks.rights.has(Right.OPERATE) else []
        self.widget = w.VBox([row(self.tabs.bar, *copies), self.message.widget, *self.tabs.panes])

    def show(self, run_id: str) -> None:
        """run_id: of the open run, "" for none. On the loop only."""
        self.widget.layout.display = "" if run_id else "none"
        if run_id != self._run_id:
            self._run_id = run_id
            self.compared.value = ""
            self.message.clear()
            self._offer()
        self.timeline.show(run_id)

    def _offer(self) -> None:
        self.second.options = [run_id for run_id in self._run_ids() if run_id != self._run_id]

    def _compare(self) -> None:
        run_id, second = self._run_id, self.second.value.strip()

        def work() -> Html:
            if not second:
                raise BadInput("say which other run: choose one of the table above, or paste an id")
            return comparison(*(read_compared(self._agent.database, name) for name in (run_id, second)))

        def finish(content: Html) -> None:
            self.message.clear()
            if run_id == self._run_id:
                self.compared.value = styled(content)

        self._task.run("Reading both runs", work, finish)

    def _copy(self) -> None:
        run_id, store = self._run_id, self._agent.store

        def finish(order: Order) -> None:
            notes = "".join(f" {note[0].upper()}{note[1:]}." for note in self._copied(order))
            self.message.say(f"Run {run_id} is copied into New run: read it, then press Launch.{notes}")

        self._task.run("Reading the run", lambda: order_like(store.load(run_id)), finish, Right.OPERATE)


def read_compared(database: Database, run_id: str) -> ComparedRun:
    """The run for a comparison. Raises UnknownRun, BadInput, StoreError."""
    glance = database.reads.glance(run_id, (), limit=1)
    page = database.reads.timeline(run_id, "", LOUD, ENTRIES_MAX)
    return ComparedRun(glance.run, glance.jobs, page.entries, bool(page.next))
