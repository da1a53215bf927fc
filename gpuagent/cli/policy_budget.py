"""`gpuagent policy budget`: what a tag's or a user's runs may spend in a calendar month."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, By, console, errors_explained, open_database, print_json, user_name
from gpuagent.cli.groups import command_group
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.core.policy import Policy
    from gpuagent.wiring.database import Database

budgets = command_group("What a tag's or a user's runs may spend in a calendar month.")


@budgets.command("list")
def budget_list(as_json: AsJson = False) -> None:
    """Show what is spent of each month's budget, how fast, and what that comes to at the month's end."""
    with errors_explained(), open_database() as db:
        _show(db, as_json)


@budgets.command("set")
def budget_set(
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=USD|none", help="A tag's; repeatable.")] = None,
    user: Annotated[list[str] | None, typer.Option(metavar="NAME=USD|none", help="A user's; repeatable.")] = None,
    zone: Annotated[str, typer.Option(help="Where months begin, such as Europe/Berlin; it holds for all.")] = "",
    by: By = "",
    why: Annotated[str, typer.Option(help="The reason; needed to allow more than before.")] = "",
    as_json: AsJson = False,
) -> None:
    """Change budgets over months. What is held and settled in a month never passes one."""
    from gpuagent.core.months import TAG, USER
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        changes = {(kind, name): amount for kind, texts in ((TAG, tag), (USER, user)) for name, amount in _read(texts)}
        if not changes and not zone:
            raise BadInput("name a budget: --tag NAME=USD or --user NAME=USD, none for no limit; or a --zone")

        def revise(policy: "Policy") -> "Policy":
            return _revised(policy, changes, zone)

        db.store.change_policy(revise, user_name(by), why, system_clock().now())
        _show(db, as_json)


def _revised(policy: "Policy", changes: dict[tuple[str, str], int | None], zone: str) -> "Policy":
    from gpuagent.core.months import MonthBudget

    amounts = {**{budget.key: budget.amount for budget in policy.month_budgets}, **changes}
    revised = tuple(MonthBudget(*key, amount) for key, amount in amounts.items() if amount is not None)
    return replace(policy, month_budgets=revised, month_zone=zone or policy.month_zone)


def _read(texts: Sequence[str] | None) -> list[tuple[str, int | None]]:
    from gpuagent.core.money import parse_usd

    read: list[tuple[str, int | None]] = []
    for text in texts or ():
        name, equals, amount = text.rpartition("=")
        if not equals or not name.strip():
            raise BadInput(f"{text[:60]!r} is not NAME=USD")
        read.append((name.strip(), None if amount == "none" else parse_usd(amount)))
    return read


def _show(db: "Database", as_json: bool) -> None:
    from gpuagent import settings
    from gpuagent.render.budgets import budgets_view

    zone = db.store.policy().month_zone
    shares = db.reads.budget_shares(settings.read().network, db.store.now())
    if as_json:
        print_json({"zone": zone, "budgets": [share.as_json(zone) for share in shares]})
    else:
        console().print(budgets_view(shares, zone))
