"""The owner's policy as a form: caps on what may be paid, by every run and every process on this database."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpuagent.core.money import parse_usd, usd
from gpuagent.core.policy import LIMITS, Policy
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import Field, button, card, problems, row, text
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import Message, html
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.session import Desk

NAMES = {
    "per_payment": "Each payment",
    "vendor_per_run": "A vendor in a run",
    "vendor_per_day": "A vendor in 24 h",
    "wallet_per_day": "A wallet in 24 h",
    "approval_above": "Approval above",
}
LABEL = "170px"


class LimitsForm:
    """widget: the form. It shows the policy in force whenever show() is called, unless somebody is writing in it."""

    def __init__(self, desk: Desk, bridge: Bridge, who: Callable[[], str]) -> None:
        self._desk, self._who = desk, who
        self.message = Message()
        self._errand = Errand(bridge, self.message, self._draw)
        self.fields = {name: Field(_amount_text(NAMES[name]), _limit, self._draw) for name in LIMITS}
        self.why = text("Reason for it", hint="needed to allow more than before", width="520px", label_width=LABEL)
        self.save = button("Change limits", self._save, "primary", "A new version of the policy, in force at once")
        self._shown: Policy | None = None
        words = "They hold for every run, in the transaction that reserves money. Empty means no limit."
        boxes = [field.box for field in self.fields.values()]
        self.widget = card(html(el("p", words, class_="faint")), *boxes, self.why, row(self.save), self.message.widget)

    def show(self, policy: Policy) -> None:
        written = self._shown is not None and self._texts() != _texts(self._shown)
        if self._errand.busy or written:
            return
        self._shown = policy
        for name, words in _texts(policy).items():
            self.fields[name].widget.value = words
        self._draw()

    def _texts(self) -> dict[str, str]:
        return {name: field.widget.value for name, field in self.fields.items()}

    def _draw(self) -> None:
        wrong = bool(problems(self.fields.values()))
        same = self._shown is None or self._texts() == _texts(self._shown)
        self.save.disabled = wrong or same or self._errand.busy

    def _save(self) -> None:
        wanted = {name: field.read() for name, field in self.fields.items()}
        before, why = self._shown, self.why.value
        try:
            by = self._who()
        except BadInput as error:
            self.message.error(str(error))
            return

        def revise(policy: Policy) -> Policy:
            if before and any(getattr(policy, name) != getattr(before, name) for name in LIMITS):
                raise BadInput("somebody else has changed the limits meanwhile: look at them again")
            return replace(policy, **wanted)

        store, clock = self._desk.agent.store, self._desk.agent.ports.clock
        self._errand.run("Changing", lambda: store.change_policy(revise, by, why, clock.now()), self._changed)

    def _changed(self, policy: Policy) -> None:
        self._shown, self.why.value = policy, ""
        self.message.say(f"Version {policy.version} of the limits is in force.")


def _texts(policy: Policy) -> dict[str, str]:
    return {name: _shown_amount(getattr(policy, name)) for name in LIMITS}


def _shown_amount(amount: int | None) -> str:
    if amount is None:
        return ""
    return f"{usd(amount):.2f}" if amount % 10_000 == 0 else f"{usd(amount).normalize():f}"


def _amount_text(name: str) -> Any:
    return text(f"{name}, USD", width="320px", label_width=LABEL)


def _limit(value: str) -> Any:
    return parse_usd(value.strip()) if value.strip() else None
