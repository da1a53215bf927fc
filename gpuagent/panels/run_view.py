"""The open run: its goal, phase, status, budget, jobs, payments, last decision, metrics, files and event log."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w

from gpuagent.core.model import Phase
from gpuagent.core.status import planner_label
from gpuagent.panels.decision import decision_option, explanation
from gpuagent.panels.event_log import FILTERS, event_log
from gpuagent.panels.file_copies import stored_files
from gpuagent.panels.files_form import FilesForm, files_table
from gpuagent.panels.job_notes import job_notes, run_time
from gpuagent.panels.kit.fields import dropdown, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import html_widget, styled
from gpuagent.panels.metric_chart import metric_chart, metric_names
from gpuagent.panels.run_course import course, course_chart, forecast
from gpuagent.panels.snapshot import OpenRun
from gpuagent.panels.state_diagram import diagram, pill
from gpuagent.panels.tables import budget_bar, jobs_table, payments_table
from gpuagent.render.run import job_label

LAST = ("the last", "")
NO_RUN = "No run is open. Fill in “New run” and press Launch, or choose a run from the list."
NO_RUN_TO_START = "No run is open. Choose one from the list, once somebody has started one."


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
        el("p", run_time(run, open_run.documents.jobs, open_run.at), class_="faint"),
        el("p", sentence, role="status") if sentence else "",
    )


def page(open_run: OpenRun, colours: Mapping[str, str]) -> Html:
    """All of it as one piece of HTML, for where there are no widgets."""
    documents = open_run.documents
    return join(
        head(open_run),
        phases(open_run),
        budget_bar(documents.run),
        el("h3", "Jobs"),
        _jobs(open_run, colours),
        el("h3", "Payments"),
        payments_table(documents.payments, colours),
        _course(open_run, colours),
        el("h3", "Why"),
        explanation(documents.decision, colours),
        el("h3", "Metrics"),
        _chart(open_run, colours, metric_names(documents.metrics, success_metric(documents.run))),
        el("h3", "Files"),
        files_table(documents.run, stored_files(documents.jobs), colours),
        el("h3", "Events, newest first"),
        event_log(documents.observations, filtered=False),
    )


def phases(open_run: OpenRun) -> Html:
    """The state diagram of the run as it is."""
    phase = open_run.documents.run["phase"]
    return diagram(phase, open_run.activity if phase == Phase.WAITING else "")


def success_metric(run: Mapping[str, Any]) -> str:
    """The metric that the workload's success test looks at; "" for none."""
    workload = json.loads(run.get("workload") or "{}")
    return str((workload.get("success", {}).get("metric") or {}).get("name", ""))


def _jobs(open_run: OpenRun, colours: Mapping[str, str]) -> Html:
    jobs = open_run.documents.jobs
    notes = {str(job["_id"]): job_notes(job, jobs, open_run.at) for job in jobs}
    return jobs_table(jobs, colours, open_run.status, notes)


def _course(open_run: OpenRun, colours: Mapping[str, str]) -> Html:
    """The picture of the run's course, and what its budget still allows."""
    documents = open_run.documents
    drawn = course(documents.run, documents.jobs, documents.payments, colours, open_run.at)
    return join(el("h3", "Course"), course_chart(drawn), el("p", forecast(drawn), class_="faint"))


def _chart(open_run: OpenRun, colours: Mapping[str, str], names: Sequence[str], chosen: str = "") -> Html:
    """The chart of a metric. chosen: its name, or else the first of the names."""
    documents = open_run.documents
    name = chosen if chosen in names else next(iter(names), "")
    return metric_chart(name, documents.metrics, documents.jobs, colours)


class RunView:
    """The widgets that show the open run. top, bottom: above and below the buttons. filters: of observations."""

    def __init__(self, refresh: Callable[[], None], files: FilesForm, no_run: str = NO_RUN) -> None:
        """refresh: called when other observations are to be read, or another metric is to be drawn.

        no_run: what is shown while no run is open.
        """
        self._no_run = no_run
        self.head, self.phase, self.budget = html_widget(), html_widget(), html_widget()
        self.jobs, self.payments, self.course = html_widget(), html_widget(), html_widget()
        self.why, self.log = html_widget(), html_widget()
        self.kinds = dropdown("Show", list(FILTERS), width="230px", label_width="42px")
        self.search = text_input("Containing", hint="any text", width="320px", label_width="80px")
        self.metric = dropdown("Metric", [], width="230px", label_width="48px")
        self.metrics, self.files = html_widget(), files
        self.decision = dropdown("Decision", [LAST], width="100%", label_width="60px")
        for widget in (self.kinds, self.search, self.metric, self.decision):
            widget.observe(lambda _: refresh(), "value")
        self.top = w.VBox([self.head, self.phase, self.budget])
        self.bottom = w.VBox(
            [
                _columns(
                    [self.jobs, self.payments, self.course], [html_widget(el("h3", "Why")), self.decision, self.why]
                ),
                _columns([html_widget(el("h3", "Metrics")), self.metric, self.metrics], [files.widget]),
                html_widget(el("h3", "Events, newest first")),
                row(self.kinds, self.search),
                self.log,
            ]
        )

    @property
    def filters(self) -> tuple[tuple[str, ...], str, str]:
        """Which observations are read, and which decision whole."""
        return FILTERS[self.kinds.value], self.search.value.strip(), str(self.decision.value or "")

    def show(self, open_run: OpenRun | None, colours: Mapping[str, str]) -> None:
        self.bottom.layout.display = "" if open_run else "none"
        if open_run is None:
            self.head.value = styled(el("p", self._no_run))
            self.phase.value = self.budget.value = ""
            return
        documents = open_run.documents
        self.head.value = styled(head(open_run))
        self.phase.value = styled(phases(open_run))
        self.budget.value = styled(budget_bar(documents.run))
        self.jobs.value = styled(join(el("h3", "Jobs"), _jobs(open_run, colours)))
        self.payments.value = styled(join(el("h3", "Payments"), payments_table(documents.payments, colours)))
        self.course.value = styled(_course(open_run, colours))
        self._show_decisions(documents.decisions)
        self.why.value = styled(explanation(documents.decision, colours))
        self._show_metrics(open_run, colours)
        self.files.show(documents.run, documents.jobs, colours)
        filtered = self.kinds.value != "Everything" or bool(self.search.value.strip())
        self.log.value = styled(event_log(documents.observations, filtered))

    def _show_decisions(self, decisions: Sequence[Mapping[str, Any]]) -> None:
        """Every decision of the run can be chosen; while none is, the last is shown."""
        options = [LAST, *((decision_option(number, row), str(row["_id"])) for number, row in enumerate(decisions, 1))]
        if options != list(self.decision.options):
            chosen = self.decision.value
            self.decision.options = options
            self.decision.value = chosen if chosen in [decision_id for _, decision_id in options] else ""
        self.decision.layout.display = "" if len(decisions) > 1 else "none"

    def _show_metrics(self, open_run: OpenRun, colours: Mapping[str, str]) -> None:
        names = metric_names(open_run.documents.metrics, success_metric(open_run.documents.run))
        chosen = self.metric.value or ""
        if names != list(self.metric.options):
            self.metric.options = names
            self.metric.value = chosen if chosen in names else next(iter(names), None)
        self.metric.layout.display = "" if len(names) > 1 else "none"
        self.metrics.value = styled(_chart(open_run, colours, names, self.metric.value or ""))


def _columns(*columns: list[w.Widget]) -> w.HBox:
    """Widgets side by side, or one column below the other where there is no room."""
    boxes = [w.VBox(column, layout=w.Layout(flex="1 1 460px", min_width="0")) for column in columns]
    return w.HBox(boxes, layout=w.Layout(flex_flow="row wrap", grid_gap="0 28px"))
