"""The open run: what it is for, its phase, budget, jobs, payments, the last decision, its log."""

from collections.abc import Mapping
from typing import Any

import ipywidgets as w

from gpuagent.core.records import RunSnapshot
from gpuagent.panels.decision import why
from gpuagent.panels.event_log import FILTERS, log
from gpuagent.panels.kit.fields import choice, row, text
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import html, shown
from gpuagent.panels.state_diagram import picture, pill
from gpuagent.panels.tables import budget_bar, jobs_table, payments_table

NO_RUN = "No run is open. Fill in “New run” and press Launch, or choose a run from the list."


def head(run: Mapping[str, Any]) -> Html:
    tags = f", tags {', '.join(run['tags'])}" if run["tags"] else ""
    vendors = f", only from {', '.join(run['vendorIds'])}" if run["vendorIds"] else ""
    words = f"{run['maxHours']:g} h of {run['gpuType']}, for {run['userId']}, planner {run['planner']}{vendors}{tags}"
    return join(
        el("div", el("h2", run["goal"], " ", pill(run["phase"])), el("code", f"run {run['_id']}"), class_="head"),
        el("p", words, class_="faint"),
        el("p", run["reason"]) if run["reason"] else "",
    )


def page(seen: RunSnapshot, colours: Mapping[str, str]) -> Html:
    """All of it as one piece of HTML, for where there are no widgets."""
    return join(
        head(seen.run),
        picture(seen.run["phase"]),
        budget_bar(seen.run),
        el("h3", "Jobs"),
        jobs_table(seen.jobs, colours),
        el("h3", "Payments"),
        payments_table(seen.payments, colours),
        el("h3", "Why"),
        why(seen.decision, colours),
        el("h3", "Events, newest first"),
        log(seen.seen, filtered=False),
    )


class RunView:
    """top and bottom: what stands above and below the buttons. filters: which observations are wanted."""

    def __init__(self, asked: Any) -> None:
        """asked: called when a person wants other observations."""
        self.head, self.phase, self.budget = html(), html(), html()
        self.jobs, self.payments, self.why, self.log = html(), html(), html(), html()
        self.kinds = choice("Show", list(FILTERS), width="230px", label_width="42px")
        self.search = text("Containing", hint="any text", width="320px", label_width="80px")
        for widget in (self.kinds, self.search):
            widget.observe(lambda _: asked(), "value")
        self.top = w.VBox([self.head, self.phase, self.budget])
        left = w.VBox([self.jobs, self.payments], layout=w.Layout(flex="1 1 420px", min_width="0"))
        right = w.VBox([self.why], layout=w.Layout(flex="1 1 420px", min_width="0"))
        columns = w.HBox([left, right], layout=w.Layout(flex_flow="row wrap", grid_gap="0 28px"))
        title = html(el("h3", "Events, newest first"))
        self.bottom = w.VBox([columns, title, row(self.kinds, self.search), self.log])

    @property
    def filters(self) -> tuple[tuple[str, ...], str]:
        return FILTERS[self.kinds.value], self.search.value.strip()

    def show(self, seen: RunSnapshot | None, colours: Mapping[str, str]) -> None:
        self.bottom.layout.display = "" if seen else "none"
        if seen is None:
            self.head.value = shown(el("p", NO_RUN))
            self.phase.value = self.budget.value = ""
            return
        self.head.value = shown(head(seen.run))
        self.phase.value = shown(picture(seen.run["phase"]))
        self.budget.value = shown(budget_bar(seen.run))
        self.jobs.value = shown(join(el("h3", "Jobs"), jobs_table(seen.jobs, colours)))
        self.payments.value = shown(join(el("h3", "Payments"), payments_table(seen.payments, colours)))
        self.why.value = shown(join(el("h3", "Why"), why(seen.decision, colours)))
        filtered = self.kinds.value != "Everything" or bool(self.search.value.strip())
        self.log.value = shown(log(seen.seen, filtered))
