"""What only a person decides: approve, reject, cancel, stop all payments. Each is recorded with a name and a reason."""

import getpass
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import ipywidgets as w

from gpuagent.agent.approve import NAME_MAX, WHY_MAX, approve, cancel, reject
from gpuagent.core.model import Run
from gpuagent.core.money import amount, show_usd
from gpuagent.core.policy import EVERY_WALLET, Halt, Policy
from gpuagent.core.records import RunSnapshot
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import Field, button, row, text, written
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import Message, html, shown
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.panels.tables import clock_time
from gpuagent.session import Desk

KILLED = ("wallet", EVERY_WALLET)
KILL_WHY = "kill switch in the console"


class Deciding:
    """widget: who decides and why, Cancel, the kill switch. approval: what waits for a person, hidden while nothing."""

    def __init__(self, desk: Desk, bridge: Bridge, run_id: Callable[[], str]) -> None:
        self._desk, self._run_id = desk, run_id
        self.message = Message()
        self._errand = Errand(bridge, self.message, self._draw)
        self._running, self._policy = False, Policy()
        self._asked: Mapping[str, Any] | None = None
        name = text("Your name", _login(), width="230px", label_width="70px")
        self.who = Field(name, written("say who you are", NAME_MAX))
        self.why = Field(text("Reason", hint="recorded with the decision", width="380px", label_width="56px"), str)
        self.cancel = button("Cancel run", self._cancel, "warning", "End the run: nothing more is signed")
        self.kill = button("Kill switch", self._kill, "danger", "No wallet signs anything more, in any process")
        self.approve = button("Approve", self._approve, "success", "Agree to this purchase at this price")
        self.reject = button("Reject", self._reject, "warning", "Refuse it: the run looks elsewhere")
        self._question, self.halts = html(), html()
        self.approval = w.VBox([self._question, row(self.approve, self.reject)], layout=w.Layout(display="none"))
        self.widget = w.VBox(
            [
                self.halts,
                self.approval,
                row(self.who.box, self.why.box, self.cancel, self.kill),
                self.message.widget,
            ]
        )
        self._draw()

    def name(self) -> str:
        """Raises BadInput, and says so beside the field."""
        return self.who.read()

    def show(self, seen: RunSnapshot | None, policy: Policy) -> None:
        self._policy = policy
        self._running = seen is not None and seen.run["status"] == "running"
        waiting = [job for job in seen.jobs if _waits(job)] if seen else []
        self._asked = waiting[0] if waiting and self._running else None
        self._draw()

    def _draw(self) -> None:
        asked, busy = self._asked, self._errand.busy
        self.approval.layout.display = "" if asked else "none"
        if asked:
            self._question.value = shown(_question(asked))
            self.approve.description = f"Approve {show_usd(amount(asked['expectedCost']))}"
        killed = self._killed()
        self.kill.description = "Resume payments" if killed else "Kill switch"
        self.halts.value = shown(join(*map(_halt, self._policy.halts)))
        self.cancel.disabled = busy or not self._running
        for made in (self.kill, self.approve, self.reject):
            made.disabled = busy

    def _killed(self) -> bool:
        return KILLED in {(one.kind, one.name) for one in self._policy.halts}

    def _approve(self) -> None:
        if not (asked := self._asked):
            return
        agreed, job_id, run_id = amount(asked["expectedCost"]), str(asked["_id"]), self._run_id()
        store, clock = self._desk.agent.store, self._desk.agent.ports.clock
        self._decide(
            "Approving",
            lambda by, _: approve(run_id, by, agreed, store, clock, job_id),
            f"Approved {show_usd(agreed)}: it is signed at the next tick.",
        )

    def _reject(self) -> None:
        if not (asked := self._asked):
            return
        job_id, run_id = str(asked["_id"]), self._run_id()
        store, clock = self._desk.agent.store, self._desk.agent.ports.clock
        self._decide(
            "Rejecting",
            lambda by, why: reject(run_id, by, why, store, clock, job_id),
            "Rejected: the next tick looks elsewhere.",
            why_needed=True,
        )

    def _cancel(self) -> None:
        run_id, store, clock = self._run_id(), self._desk.agent.store, self._desk.agent.ports.clock

        def cancelled(by: str, why: str) -> Run:
            return cancel(run_id, by, why, store, clock)

        told = "Cancelled: nothing more is signed. What is out is followed by ticks."
        self._decide("Cancelling", cancelled, told, why_needed=True)

    def _kill(self) -> None:
        store, clock, resumes = self._desk.agent.store, self._desk.agent.ports.clock, self._killed()

        def turned(by: str, why: str) -> Policy:
            def revise(policy: Policy) -> Policy:
                others = tuple(one for one in policy.halts if (one.kind, one.name) != KILLED)
                return replace(policy, halts=others if resumes else (*others, Halt(*KILLED, by, why or KILL_WHY)))

            self._policy = store.change_policy(revise, by, why or KILL_WHY, clock.now())
            return self._policy

        told = "Payments may be signed again." if resumes else "Halted: no wallet signs anything more."
        self._decide("Resuming" if resumes else "Halting", turned, told, why_needed=resumes)

    def _decide(self, doing: str, work: Callable[[str, str], Any], told: str, why_needed: bool = False) -> None:
        try:
            by = self.name()
            why = self.why.read().strip()
            if why_needed or why:
                written("say why", WHY_MAX)(why)
        except BadInput as error:
            if self.who.problem() == "":
                self.why.blame(str(error))
            return

        def done(_: object) -> None:
            self.why.widget.value = ""
            self.message.say(told)

        self._errand.run(doing, lambda: work(by, why), done)


def _waits(job: Mapping[str, Any]) -> bool:
    return job["state"] == "reserved" and bool(job.get("approval")) and not job["approval"]["by"]


def _question(job: Mapping[str, Any]) -> Html:
    until: datetime = job["approval"]["expiresAt"]
    words = join(
        el("b", f"Approve {show_usd(amount(job['expectedCost']))} for {job['vendorId']}?"),
        f" {job['jobParams']['maxHours']:g} h of {job['jobParams']['gpuType']}, paid to ",
        el("code", job["quote"]["payTo"]),
        f". The request ends at {clock_time(until)}.",
    )
    return el("div", words, class_="note ask", role="status")


def _halt(halt: Halt) -> Html:
    what = "All payments are halted" if (halt.kind, halt.name) == KILLED else f"Halted: {halt.kind} {halt.name}"
    return el("div", el("b", what), f" by {halt.by}: {halt.why}", class_="note bad", role="status")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
