"""Budgets over calendar months as a form: a line for each tag or user, and what this month has used of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gpuagent.core.months import BudgetShare, MonthBudget, parse_budget, problem
from gpuagent.core.policy import Policy
from gpuagent.core.zones import UTC_NAME, zone_of
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import Field, button, card, problems, row, text_area, text_input
from gpuagent.panels.kit.html import el, table
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask
from gpuagent.render.budgets import COLUMNS, budget_rows
from gpuagent.session import Session

LABEL = "230px"
HELP = "All that the runs of a tag or a user may hold and settle in a calendar month, one budget a line."


class BudgetsForm:
    """The form of the budgets over months. show() replaces its values unless the user is editing them.

    task, message: of the form of limits that it is a part of: who may change those may change these.
    """

    def __init__(self, session: Session, task: ExclusiveTask, message: StatusLine, who: Callable[[], str]) -> None:
        self._session, self._task, self.message, self._who = session, task, message, who
        area = text_area("Budgets a month", "tag project-x=200", "580px", "72px", LABEL)
        zone = text_input("Months begin in", hint="UTC, or such as Europe/Berlin", width="380px", label_width=LABEL)
        self.budgets: Field[tuple[MonthBudget, ...]] = Field(area, _budgets, self.draw)
        self.zone: Field[str] = Field(zone, _zone, self.draw)
        hint = "needed to allow more than before"
        self.why = text_input("Reason for it", hint=hint, width="580px", label_width=LABEL)
        self.save = button("Change budgets", self._save, "primary", "A new version of the policy, in force at once")
        self.look = button("Used this month", self._look, tip="Settled, held and forecast, of each budget")
        self.used = html_widget("")
        self._policy: Policy | None = None
        parts = (self.budgets.box, self.zone.box, self.why, row(self.save, self.look), self.used)
        self.widget = card(html_widget(el("p", HELP, class_="faint")), *parts)

    def show(self, policy: Policy) -> None:
        edited = self._policy is not None and self._texts() != _texts(self._policy)
        if self._task.busy or edited:
            return
        self._policy = policy
        self.budgets.widget.value, self.zone.widget.value = _texts(policy)
        self.draw()

    def _texts(self) -> tuple[str, str]:
        return self.budgets.widget.value, self.zone.widget.value

    def draw(self) -> None:
        wrong = bool(problems((self.budgets, self.zone)))
        unchanged = self._policy is None or self._texts() == _texts(self._policy)
        self.save.disabled = wrong or unchanged or self._task.busy
        self.look.disabled = self._task.busy

    def _save(self) -> None:
        budgets, zone, before, why = self.budgets.read(), self.zone.read(), self._policy, self.why.value
        try:
            by = self._who()
        except BadInput as error:
            self.message.error(str(error))
            return

        def revise(policy: Policy) -> Policy:
            if before and _texts(policy) != _texts(before):
                raise BadInput("another user has changed the budgets meanwhile: look at them again")
            return replace(policy, month_budgets=budgets, month_zone=zone)

        store, clock = self._session.agent.store, self._session.agent.ports.clock
        self._task.run("Changing", lambda: store.change_policy(revise, by, why, clock.now()), self._changed)

    def _changed(self, policy: Policy) -> None:
        self._policy, self.why.value = policy, ""
        self.budgets.widget.value, self.zone.widget.value = _texts(policy)
        self.message.say(f"Version {policy.version} of the limits is in force.")

    def _look(self) -> None:
        agent, network = self._session.agent, self._session.settings.network
        self._task.run("Reading", lambda: agent.reads.budget_shares(network, agent.store.now()), self._show_shares)

    def _show_shares(self, shares: Sequence[BudgetShare]) -> None:
        self.message.clear()
        rows: list[list[Any]] = [list(cells) for cells in budget_rows(shares)]
        self.used.value = styled(table(COLUMNS, rows, "Budgets of this month") if rows else el("p", "No budgets yet."))


def _texts(policy: Policy) -> tuple[str, str]:
    return "\n".join(budget.text for budget in policy.month_budgets), policy.month_zone


def _budgets(text: str) -> tuple[MonthBudget, ...]:
    budgets = tuple(parse_budget(line) for line in text.splitlines() if line.strip())
    if why_not := problem(budgets, UTC_NAME):
        raise BadInput(why_not)
    return budgets


def _zone(text: str) -> str:
    zone = text.strip() or UTC_NAME
    zone_of(zone)
    return zone
