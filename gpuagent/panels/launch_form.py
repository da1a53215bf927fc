"""The form that starts a run. What is wrong with a field is shown beside it, and nothing starts until none is."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import ipywidgets as w

from gpuagent.agent.dry_run import DryRun, simulate
from gpuagent.agent.prices import check_budget
from gpuagent.agent.start import GOAL_MAX, Order, prepare, start
from gpuagent.core.gpus import distinct
from gpuagent.core.model import Run
from gpuagent.core.money import show_usd
from gpuagent.core.policy import LIMITS, Policy
from gpuagent.core.rights import Right
from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput
from gpuagent.panels import launch_values as values
from gpuagent.panels.dry_run import dry_run_report
from gpuagent.panels.job_form import JobForm
from gpuagent.panels.kit.fields import Field, button, card, dropdown, problems, required_text, row, text_input
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.vendor_choice import VendorChoice
from gpuagent.session import Session
from gpuagent.wire.download import Download
from gpuagent.wire.egress import egress

GOAL = "Fine-tune tiny-llm"
WIDE = "520px"
FORM = ("goal", "gpu", "hours", "count", "at_once", "hedge_after", "budget", "planner", "model", "tags")


class LaunchForm:
    """The form that starts a run. who: the user's name. opened: called with the run and a note. widget: the form."""

    def __init__(
        self, session: Session, tasks: Tasks, who: Callable[[], str], opened: Callable[[Run, str], None]
    ) -> None:
        self._session, self._who, self._opened = session, who, opened
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw)
        self._in_sight = False
        self._vendors = [vendor for vendor in session.agent.store.vendors() if vendor.enabled]
        self.job = JobForm(self._job_changed)
        self.fields = self._fields()
        self.choice = VendorChoice(session, tasks, self._terms, self._draw)
        self.vendors, self.caps = self.choice.boxes, html_widget()
        self.launch = button("Launch", self._launch, "primary", "Record the run; it moves when it is ticked")
        self.dry_run = button("Dry run", self._rehearse, tip="Show what would be paid; signs nothing")
        self.widget = card(
            w.HBox(
                [
                    w.VBox(
                        [self.job.widget, *[self.fields[name].box for name in FORM]],
                        layout=w.Layout(flex="0 1 700px"),
                    ),
                    self.choice.widget,
                ],
                layout=w.Layout(flex_flow="row wrap", grid_gap="0 18px"),
            ),
            self.caps,
            row(self.launch, self.dry_run),
            self.message.widget,
        )
        self._draw()

    def show(self, policy: Policy) -> None:
        caps = {limit.label: limit.of(policy) for limit in LIMITS}
        limits = ", ".join(f"{label}: {show_usd(cap)}" for label, cap in caps.items() if cap is not None)
        where = " Change them under Limits." if self._session.rights.has(Right.ADMINISTER) else ""
        sentence = f"Limits in force: {limits or 'none'}.{where}"
        self.caps.value = styled(el("p", sentence, class_="faint"))

    def order(self) -> Order:
        """The order that the form describes, without its job's inputs: see sealed(). Raises BadInput, after showing it
        beside the fields."""
        wrong = [name for name, field in self.fields.items() if field.problem()]
        wrong += ["job"] if self.job.problem() else []
        chosen = self.choice.chosen
        if wrong or not chosen:
            raise BadInput("not started: " + ", ".join([*wrong, *([] if chosen else ["vendors"])]) + " need attention")
        fields = self.fields
        planner, model = fields["planner"].read(), fields["model"].read()
        return Order(
            goal=fields["goal"].read(),
            budget=fields["budget"].read(),
            gpu_type="" if self._has_job else fields["gpu"].read(),
            max_hours=None if self._has_job else fields["hours"].read(),
            user_id=self._who(),
            count=fields["count"].read() if fields["count"].read() > 1 else None,
            jobs_open_max=fields["at_once"].read(),
            hedge_after=fields["hedge_after"].read(),
            planner=f"{planner}:{model}" if model and planner == "llm" else planner,
            vendor_ids=() if len(chosen) == len(self.vendors) else tuple(chosen),
            tags=fields["tags"].read(),
        )

    def sealed(self, order: Order) -> Order:
        """The order with the form's job, whose inputs are read. Raises BadInput, ConfigError."""
        download = Download(egress(self._session.environment), self._session.agent.store.policy().file_max)
        job = self.job.sealed(download)
        return replace(order, workload=job.workload, sources=job.sources) if job else order

    @property
    def _has_job(self) -> bool:
        return bool(self.job.text.value.strip())

    def _fields(self) -> dict[str, Field[Any]]:
        types = distinct(gpu for vendor in self._vendors for gpu in vendor.gpu_types) or ["A100"]
        names = list(self._session.agent.ports.planners)
        planner = dropdown("Planner", [(planner_label(name), name) for name in names])
        planner.value = self._session.settings.planner
        goal = text_input("Goal", GOAL, hint="the job's name", width=WIDE)
        tags = text_input("Tags", hint="for caps and reports; with commas", width=WIDE)
        return {
            "goal": Field(goal, self._goal, self._draw),
            "gpu": Field(dropdown("GPU type", types), str, self._draw),
            "hours": Field(text_input("Hours", "1"), values.hours, self._draw),
            "count": Field(text_input("Jobs", "1", hint="to complete, as the job file says"), values.count, self._draw),
            "at_once": Field(text_input("At once", "1"), values.at_once, self._draw),
            "hedge_after": Field(
                text_input("Hedge after", hint="15m late: buy it once more elsewhere"), values.hedge_after, self._draw
            ),
            "budget": Field(text_input("Budget, USD", "5.00"), values.budget, self._draw),
            "planner": Field(planner, str, self._draw),
            "model": Field(text_input("Model", hint="as the environment names it", width=WIDE), str.strip, self._draw),
            "tags": Field(tags, values.tags, self._draw),
        }

    def _goal(self, value: str) -> str:
        return "" if self._has_job and not value.strip() else required_text("say what the run is for", GOAL_MAX)(value)

    def _job_changed(self) -> None:
        """With a job the goal need not be given, and the GPU and the hours are the job's."""
        goal = self.fields["goal"].widget
        if goal.value in ("", GOAL):
            goal.value = "" if self._has_job else GOAL
        for name in ("gpu", "hours"):
            self.fields[name].widget.disabled = self._has_job
        self._draw()

    def show_prices(self) -> None:
        """The form is in sight now: its vendors are asked for their prices anew."""
        self._in_sight = True
        self.choice.ask_soon(again=True)

    def _terms(self) -> tuple[str, Decimal, int]:
        """The GPU type and the hours, and the budget, 0 where that is wrong. Raises BadInput."""
        try:
            budget = self.fields["budget"].read()
        except BadInput:
            budget = 0
        if job := self.job.workload():
            return job.resources.gpu_type, job.hours, budget
        return self.fields["gpu"].read(), self.fields["hours"].read(), budget

    def _draw(self) -> None:
        if not hasattr(self, "launch"):
            return  # the fields are still being constructed
        wrong = bool(problems(self.fields.values()) or self.job.problem()) or not self.choice.chosen
        self.launch.disabled = self.dry_run.disabled = wrong or self._task.busy
        self.fields["model"].widget.disabled = self.fields["planner"].widget.value != "llm"
        self.choice.draw()
        if self._in_sight:
            self.choice.ask_soon()

    def _launch(self) -> None:
        ports = self._session.agent.ports

        def work(order: Order) -> tuple[Run, str]:
            sealed, faults = self.sealed(order), self._session.faults
            check_budget(sealed, ports)
            return start(sealed, ports), faults.note() if faults else ""

        self._with_order("Starting", work, self._started)

    def _started(self, started: tuple[Run, str]) -> None:
        self.message.clear()
        self._opened(*started)

    def _rehearse(self) -> None:
        ports = self._session.agent.ports

        def work(order: Order) -> DryRun:
            return simulate(prepare(self.sealed(order), ports), ports)

        self._with_order("Asking for quotes", work, self._show_rehearsal)

    def _show_rehearsal(self, rehearsal: DryRun) -> None:
        self.message.say(dry_run_report(rehearsal))

    def _with_order(self, activity: str, work: Callable[[Order], Any], finish: Callable[[Any], None]) -> None:
        try:
            order = self.order()
        except BadInput as error:
            self.message.error(str(error))
            return
        self._task.run(activity, lambda: work(order), finish)
