"""The owner's policy as a form: caps on what may be paid, and rules on files, for every run on this database."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpuagent.core.money import parse_usd, usd
from gpuagent.core.policy import LIMITS, Policy
from gpuagent.core.rights import Right
from gpuagent.core.rules import RULES, Rule
from gpuagent.errors import BadInput
from gpuagent.panels.budgets_form import BudgetsForm
from gpuagent.panels.kit.fields import Field, button, card, problems, row, stacked, text_input
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import StatusLine, html_widget
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.session import Session

LABEL, NARROW, WIDE = "230px", "380px", "580px"


class LimitsForm:
    """The form of the policy's limits. show() replaces its values unless the user is editing them. widget: the form."""

    def __init__(self, session: Session, tasks: Tasks, who: Callable[[], str]) -> None:
        self._session, self._who = session, who
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw, Right.ADMINISTER)
        self.fields: dict[str, Field[Any]] = {
            limit.name: Field(_limit_input(limit.label.capitalize()), _limit, self._draw) for limit in LIMITS
        } | {rule.name: Field(_rule_input(rule), rule.parse, self._draw) for rule in RULES}
        hint = "needed to allow more than before"
        self.why = text_input("Reason for it", hint=hint, width=WIDE, label_width=LABEL)
        self.save = button("Change limits", self._save, "primary", "A new version of the policy, in force at once")
        self._policy: Policy | None = None
        scope = "They hold for every run, in the transaction that reserves money. Empty means no limit."
        boxes = [field.box for field in self.fields.values()]
        help_text = html_widget(el("p", scope, class_="faint"))
        self.budgets = BudgetsForm(session, self._task, self.message, who)
        limits = card(help_text, *boxes, self.why, row(self.save))
        self.widget = stacked(limits, self.message.widget, self.budgets.widget)

    def show(self, policy: Policy) -> None:
        self.budgets.show(policy)
        edited = self._policy is not None and self._texts() != _texts(self._policy)
        if self._task.busy or edited:
            return
        self._policy = policy
        for name, text in _texts(policy).items():
            self.fields[name].widget.value = text
        self._draw()

    def _texts(self) -> dict[str, str]:
        return {name: field.widget.value for name, field in self.fields.items()}

    def _draw(self) -> None:
        wrong = bool(problems(self.fields.values()))
        unchanged = self._policy is None or self._texts() == _texts(self._policy)
        self.save.disabled = wrong or unchanged or self._task.busy
        self.budgets.draw()

    def _save(self) -> None:
        limits = {name: field.read() for name, field in self.fields.items()}
        before, why = self._policy, self.why.value
        try:
            by = self._who()
        except BadInput as error:
            self.message.error(str(error))
            return

        def revise(policy: Policy) -> Policy:
            if before and any(rule.of(policy) != rule.of(before) for rule in (*LIMITS, *RULES)):
                raise BadInput("another user has changed the limits meanwhile: look at them again")
            return replace(policy, **limits)

        store, clock = self._session.agent.store, self._session.agent.ports.clock
        self._task.run("Changing", lambda: store.change_policy(revise, by, why, clock.now()), self._changed)

    def _changed(self, policy: Policy) -> None:
        self._policy, self.why.value = policy, ""
        self.message.say(f"Version {policy.version} of the limits is in force.")


def _texts(policy: Policy) -> dict[str, str]:
    limits = {limit.name: _limit_text(limit.of(policy)) for limit in LIMITS}
    return limits | {rule.name: rule.text(rule.of(policy)) for rule in RULES}


def _limit_text(amount: int | None) -> str:
    if amount is None:
        return ""
    return f"{usd(amount):.2f}" if amount % 10_000 == 0 else f"{usd(amount).normalize():f}"


def _limit_input(name: str) -> Any:
    return text_input(f"{name}, USD", width=NARROW, label_width=LABEL)


def _rule_input(rule: Rule) -> Any:
    hint = f"such as {rule.form}; empty: {rule.without}" if rule.without else f"such as {rule.form}"
    return text_input(rule.label.capitalize(), hint=hint, width=WIDE, label_width=LABEL)


def _limit(value: str) -> Any:
    return parse_usd(value.strip()) if value.strip() else None
