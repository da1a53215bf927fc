"""The kill switch of the whole market, apart from what concerns one run; it says whom it halts before it does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ipywidgets as w

from gpuagent.core.policy import EVERY_WALLET, Halt, Policy
from gpuagent.core.rights import Right
from gpuagent.errors import BadInput
from gpuagent.panels.approval_form import ApprovalForm
from gpuagent.panels.kit.fields import button, row
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.session import Session

KILLED = ("wallet", EVERY_WALLET)
KILL_WHY = "kill switch in the console"
USERS_MAX = 8
"""Users that are named of those who are halted."""


class KillSwitch:
    """The button, the question that it asks first, and the halts in force. widget: button and question; halts."""

    def __init__(self, session: Session, tasks: Tasks, signer: ApprovalForm) -> None:
        """signer: the form with the user's name and reason."""
        self._session, self._signer = session, signer
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw)
        self._policy = Policy()
        self._said_at = 0
        self.kill = button("Kill switch", self._ask, "danger", "Asks first: no wallet signs anything more")
        self.confirm = button("Halt all payments", self._halt, "danger", "No wallet signs anything more, anywhere")
        self.back = button("Go on paying", self._withdraw, tip="Halt nothing")
        self._question, self.halts = html_widget(), html_widget()
        self.request = w.VBox([self._question, row(self.confirm, self.back)], layout=w.Layout(display="none"))
        scope = html_widget(el("span", "for every run and user of this database", class_="faint"))
        scope.layout.width = "auto"
        self.widget = w.VBox(
            [row(self.kill, scope), self.request, self.message.widget],
            layout=w.Layout(border_top="1px solid var(--jp-border-color2, #ccc)", padding="6px 0 0"),
        )
        self._draw()

    def show(self, policy: Policy) -> None:
        """What was said of an earlier policy is erased."""
        if not self._task.busy and policy.version > self._said_at:
            self.message.clear()
        self._policy = policy
        self._draw()

    @property
    def killed(self) -> bool:
        return KILLED in {(halt.kind, halt.name) for halt in self._policy.halts}

    def _draw(self) -> None:
        self.kill.description = "Resume payments" if self.killed else "Kill switch"
        self.halts.value = styled(join(*map(_halt_note, self._policy.halts)))
        self.halts.layout.display = "" if self._policy.halts else "none"
        if self.killed:
            self._withdraw()
        for control in (self.kill, self.confirm, self.back):
            control.disabled = self._task.busy

    def _ask(self) -> None:
        if self.killed:
            self._change(resumes=True)
            return

        def finish(running: Mapping[str, int]) -> None:
            self.message.clear()
            self._question.value = styled(_question(running))
            self.request.layout.display = ""

        self._task.run("Looking whom it halts", self._session.agent.reads.running, finish)

    def _withdraw(self) -> None:
        self.request.layout.display = "none"

    def _halt(self) -> None:
        self._change(resumes=False)

    def _change(self, resumes: bool) -> None:
        try:
            by, why = self._signer.signed(why_needed=resumes)
        except BadInput as error:
            self.message.error(str(error))
            return
        store, clock = self._session.agent.store, self._session.agent.ports.clock

        halt = Halt(*KILLED, by, why or KILL_WHY, clock.now())

        def revise(policy: Policy) -> Policy:
            rest = tuple(halt for halt in policy.halts if (halt.kind, halt.name) != KILLED)
            return replace(policy, halts=rest if resumes else (*rest, halt))

        def finish(policy: Policy) -> None:
            self._policy, self._said_at = policy, policy.version
            self._signer.why.widget.value = ""
            self._withdraw()
            self.message.say("Payments may be signed again." if resumes else "Halted: no wallet signs anything more.")

        def work() -> Policy:
            return store.change_policy(revise, by, why or KILL_WHY, clock.now())

        needs = Right.ADMINISTER if resumes else Right.OPERATE
        self._task.run("Resuming" if resumes else "Halting", work, finish, needs)


def _question(running: Mapping[str, int]) -> Html:
    """Whom it halts, before it does. running: runs that are not over, by user."""
    users = sorted(running)
    names = ", ".join(users[:USERS_MAX]) + (f" and {len(users) - USERS_MAX} more" if len(users) > USERS_MAX else "")
    runs = f"{sum(running.values())} running runs, of {names}," if running else "No run is running; later ones"
    content: Any = join(
        el("b", "Halt all payments?"),
        f" {runs} stand still until payments are resumed. No wallet signs anything more, in any process on this"
        " database. What is signed already may still settle.",
    )
    return el("div", content, class_="note ask", role="alert")


def _halt_note(halt: Halt) -> Html:
    scope = "All payments are halted" if (halt.kind, halt.name) == KILLED else f"Halted: {halt.kind} {halt.name}"
    ends = (": ", el("code", halt.resume_command), " ends it") if halt.kind == "vendor" else ()
    return el("div", el("b", scope), f" by {halt.by}: {halt.why}", *ends, class_="note bad", role="status")
