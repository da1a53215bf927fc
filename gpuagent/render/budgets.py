"""Budgets over months as rows, which a terminal, a panel and a report show alike."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from gpuagent.core.money import show_usd
from gpuagent.core.months import BudgetShare
from gpuagent.render.fitting import Fitting

COLUMNS = ("budget", "month", "limit, USD", "settled", "held", "used", "a day", "at month's end")
NAMES = "budget", "month"
NONE = "no budgets a month: `gpuagent policy budget set` makes one"


def budget_rows(shares: Iterable[BudgetShare]) -> list[tuple[str, ...]]:
    """The cells under COLUMNS of each budget."""
    return [
        (
            f"{share.budget.kind} {share.budget.name}",
            share.month,
            *(show_usd(part).removesuffix(" USD") for part in (share.budget.amount, share.settled, share.held)),
            f"{share.share:.0%}",
            _cents(share.per_day),
            _cents(share.forecast) + (" (over)" if share.forecast > share.budget.amount else ""),
        )
        for share in shares
    ]


def _cents(amount: int) -> str:
    """An estimate, which has no use for more digits."""
    return f"{amount / 1_000_000:.2f}"


def budgets_view(shares: Sequence[BudgetShare], zone: str) -> RenderableType:
    if not shares:
        return NONE
    table = Table(
        box=None, pad_edge=False, caption=f"months of {zone}; held money counts as used", caption_justify="left"
    )
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in NAMES else "right", overflow="fold")
    for row in budget_rows(shares):
        table.add_row(*map(escape, row))
    return Fitting(table)
