"""The user's own decisions on the open run: approve, reject, cancel. Each is recorded with a name and a reason."""

import getpass
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import ipywidgets as w

from gpuagent.agent.approve import approve, cancel, reject
from gpuagent.core.model import Run
from gpuagent.core.money import amount, show_usd
from gpuagent.core.records import RunSnapshot
from gpuagent.core.rights import Right
from gpuagent.core.text import NAME_MAX, WHY_MAX
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import Field, button, required_text, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.subject import Subject
from gpuagent.panels.tables import deadline
from gpuagent.session import Session


class ApprovalForm:
    """The form for approvals and Cancel, each with the user's name and reason.

    widget: the form. request: the purchase that waits for approval, hidden without one.
    """

    def __init__(self, session: Session, tasks: Tasks, run_id: Callable[[], str]) -> None:
        self._session, self._run_id, self._login = session, run_id, tasks.rights.login
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw, Right.APPROVE)
        self._running = False
        self._subject = Subject(session.agent.store.load)
        self._pending: Mapping[str, Any] | None = None
        name = text_input("Your name", self._login or _login(), width="230px", label_width="70px")
        name.disabled = bool(self._login)
        self.who = Field(name, required_text("say who you are", NAME_MAX))
        reason = text_input("Reason", hint="recorded with the decision", width="380px", label_width="56px")
        self.why = Field(reason, str)
        self.cancel = button("Cancel run", self._cancel, "warning", "End the run: nothing more is signed")
        self.approve = button("Approve", self._approve, "success", "Agree to this purchase at this price")
        self.reject = button("Reject", self._reject, "warning", "Refuse it: the run looks elsewhere")
        self._question = html_widget()
        answers = [row(self.approve, self.reject)] if tasks.rights.has(Right.APPROVE) else []
        self.request = w.VBox([self._question, *answers], layout=w.Layout(display="none"))
        self.widget = w.VBox(
            [
                self.request,
                row(self.who.box, self.why.box, self.cancel),
                self.message.widget,
            ]
        )
        self._draw()

    def name(self) -> str:
        """The name that the user logged in by, whatever the field says; else the field's.

        Raises BadInput, after showing it beside the field.
        """
        return self._login or self.who.read()

    def signed(self, why_needed: bool) -> tuple[str, str]:
        """The user's name and reason. Raises BadInput, after showing it beside the field."""
        by, why = self.name(), self.why.read().strip()
        try:
            return by, required_text("say why", WHY_MAX)(why) if why_needed or why else ""
        except BadInput as error:
            self.why.show_problem(str(error))
            raise

    def show(self, snapshot: RunSnapshot | None) -> None:
        """What was said of another run, or of this one before it moved on, is erased."""
        if not self._task.busy and self._subject.is_outdated(snapshot.run if snapshot else None):
            self.message.clear()
        self._running = snapshot is not None and snapshot.run["status"] == "running"
        pending = [job for job in snapshot.jobs if _needs_approval(job)] if snapshot else []
        self._pending = pending[0] if pending and self._running else None
        self._draw()

    def _draw(self) -> None:
        job, busy = self._pending, self._task.busy
        self.request.layout.display = "" if job else "none"
        if job:
            self._question.value = styled(_question(job))
            self.approve.description = f"Approve {show_usd(amount(job['expectedCost']))}"
        self.cancel.disabled = busy or not self._running
        for control in (self.approve, self.reject):
            control.disabled = busy

    def _approve(self) -> None:
        if not (job := self._pending):
            return
        price, job_id, run_id = amount(job["expectedCost"]), str(job["_id"]), self._run_id()
        store, clock = self._session.agent.store, self._session.agent.ports.clock
        self._decide(
            "Approving",
            lambda by, _: approve(run_id, by, price, store, clock, job_id),
            f"Approved {show_usd(price)}: it is signed at the next tick.",
        )

    def _reject(self) -> None:
        if not (job := self._pending):
            return
        job_id, run_id = str(job["_id"]), self._run_id()
        store, clock = self._session.agent.store, self._session.agent.ports.clock
        self._decide(
            "Rejecting",
            lambda by, why: reject(run_id, by, why, store, clock, job_id),
            "Rejected: the next tick looks elsewhere.",
            why_needed=True,
        )

    def _cancel(self) -> None:
        run_id, store, clock = self._run_id(), self._session.agent.store, self._session.agent.ports.clock

        def cancel_run(by: str, why: str) -> Run:
            return cancel(run_id, by, why, store, clock)

        result = "Cancelled: nothing more is signed. Ticks follow the authorizations that are out."
        self._decide("Cancelling", cancel_run, result, why_needed=True, needs=Right.CANCEL)

    def _decide(
        self,
        activity: str,
        work: Callable[[str, str], Any],
        result: str,
        why_needed: bool = False,
        needs: Right = Right.APPROVE,
    ) -> None:
        try:
            by, why = self.signed(why_needed)
        except BadInput:
            return

        def finish(_: object) -> None:
            self.why.widget.value = ""
            self.message.say(result)

        self._task.run(activity, self._subject.followed(self._run_id(), lambda: work(by, why)), finish, needs)


def _needs_approval(job: Mapping[str, Any]) -> bool:
    return job["state"] == "reserved" and bool(job.get("approval")) and not job["approval"]["by"]


def _question(job: Mapping[str, Any]) -> Html:
    until: datetime = job["approval"]["expiresAt"]
    content = join(
        el("b", f"Approve {show_usd(amount(job['expectedCost']))} for {job['vendorId']}?"),
        f" {job['jobParams']['maxHours']:g} h of {job['jobParams']['gpuType']}, paid to ",
        el("code", job["quote"]["payTo"]),
        f". The request ends at {deadline(until)}.",
    )
    return el("div", content, class_="note ask", role="status")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
