"""The open run: its goal, phase, status, budget, jobs, payments, last decision and event log."""

from collections.abc import Callable, Mapping

import ipywidgets as w

from gpuagent.core.status import planner_label
from gpuagent.panels.decision import explanation
from gpuagent.panels.event_log import FILTERS, event_log
from gpuagent.panels.kit.fields import dropdown, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import html_widget, styled
from gpuagent.panels.snapshot import OpenRun
from gpuagent.panels.state_diagram import diagram, pill
from gpuagent.panels.tables import budget_bar, jobs_table, payments_table
from gpuagent.render.run import job_label

NO_RUN = "No run is open. Fill in “New run” and press Launch, or choose a run from the list."


def head(open_run: OpenRun) -> Html:
    """The run's goal and phase, its order, and its status in a sentence."""
    run = open_run.documents.run
    tags = f", tags {', '.join(run['tags'])}" if run["tags"] else ""
    vendors = f", only from {', '.join(run['vendorIds'])}" if run["vendorIds"] else ""
    purchase = f"{run['maxHours']:g} h of {run['gpuType']}, for {run['userId']}"
    job = f"{job_label(run)}, " if run.get("workload") else ""
    order = f"{job}{purchase}, planner {planner_label(run['planner'])}{vendors}{tags}"
    sentence = open_run.status.run or run["reason"]
    return join(
        el("div", el("h2", run["goal"], " ", pill(run["phase"])), el("code", f"run {run['_id']}"), class_="head"),
        el("p", order, class_="faint"),
        el("p", sentence, role="status") if sentence else "",
    )


def page(open_run: OpenRun, colours: Mapping[str, str]) -> Html:
    """All of it as one piece of HTML, for where there are no widgets."""
    documents = open_run.documents
    return join(
        head(open_run),
        diagram(documents.run["phase"]),
        budget_bar(documents.run),
        el("h3", "Jobs"),
        jobs_table(documents.jobs, colours, open_run.status),
        el("h3", "Payments"),
        payments_table(documents.payments, colours),
        el("h3", "Why"),
        explanation(documents.decision, colours),
        el("h3", "Events, newest first"),
        event_log(documents.observations, filtered=False),
    )


class RunView:
    """The widgets that show the open run. top, bottom: above and below the buttons. filters: of observations."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        """refresh: called when other observations are to be read."""
        self.head, self.phase, self.budget = html_widget(), html_widget(), html_widget()
        self.jobs, self.payments = html_widget(), html_widget()
        self.why, self.log = html_widget(), html_widget()
        self.kinds = dropdown("Show", list(FILTERS), width="230px", label_width="42px")
        self.search = text_input("Containing", hint="any text", width="320px", label_width="80px")
        for widget in (self.kinds, self.search):
            widget.observe(lambda _: refresh(), "value")
        self.top = w.VBox([self.head, self.phase, self.budget])
        money = w.VBox([self.jobs, self.payments], layout=w.Layout(flex="1 1 420px", min_width="0"))
        reasons = w.VBox([self.why], layout=w.Layout(flex="1 1 420px", min_width="0"))
        columns = w.HBox([money, reasons], layout=w.Layout(flex_flow="row wrap", grid_gap="0 28px"))
        title = html_widget(el("h3", "Events, newest first"))
        self.bottom = w.VBox([columns, title, row(self.kinds, self.search), self.log])

    @property
    def filters(self) -> tuple[tuple[str, ...], str]:
        return FILTERS[self.kinds.value], self.search.value.strip()

    def show(self, open_run: OpenRun | None, colours: Mapping[str, str]) -> None:
        self.bottom.layout.display = "" if open_run else "none"
        if open_run is None:
            self.head.value = styled(el("p", NO_RUN))
            self.phase.value = self.budget.value = ""
            return
        documents = open_run.documents
        self.head.value = styled(head(open_run))
        self.phase.value = styled(diagram(documents.run["phase"]))
        self.budget.value = styled(budget_bar(documents.run))
        self.jobs.value = styled(join(el("h3", "Jobs"), jobs_table(documents.jobs, colours, open_run.status)))
        self.payments.value = styled(join(el("h3", "Payments"), payments_table(documents.payments, colours)))
        self.why.value = styled(join(el("h3", "Why"), explanation(documents.decision, colours)))
        filtered = self.kinds.value != "Everything" or bool(self.search.value.strip())
        self.log.value = styled(event_log(documents.observations, filtered))
