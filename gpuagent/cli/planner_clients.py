"""Planners as `gpuagent planners` asks them: by name, with caches, a spending limit and progress bars."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.core.ports.planner import Planner
    from gpuagent.planbench.answers import PlannerClient
    from gpuagent.planbench.compare import CostEstimate, OnProgress


def planners_named(names: str) -> "list[Planner]":
    """The planners of names with commas. Raises BadInput, and ConfigError for a planner that is not set up."""
    from gpuagent import settings, wiring
    from gpuagent.planbench.catalog import FREE, find_planner

    chosen = FREE if names == "all" else [name.strip() for name in names.split(",")]
    if len(set(chosen)) < len(chosen):
        raise BadInput(f"{names}: name each planner once")
    environment = settings.read()
    return [find_planner(name, partial(wiring.named_planner, environment)) for name in chosen]


def clients_for(
    planners: "Sequence[Planner]",
    estimate: "Callable[[PlannerClient], CostEstimate | None]",
    limit: str,
    cache: Path | None,
    guarded: bool,
) -> "list[PlannerClient]":
    """The planners with their caches and one limit; prints on stderr the most that each can cost.

    Raises BadInput where asking may cost money and there is no limit, or no price to hold against it.
    """
    from gpuagent import settings, wiring
    from gpuagent.core.money import show_usd
    from gpuagent.planbench.answers import PlannerClient, Priced, SpendLimit, cache_for
    from gpuagent.planbench.catalog import check_prices
    from gpuagent.wiring.embedded import data_folder

    check_prices(planners)
    spend_limit = SpendLimit.parse(limit)
    fallback = wiring.named_planner(settings.read(), "stub") if guarded else None
    paid = any(isinstance(planner, Priced) for planner in planners)
    folder = (cache or data_folder() / "planner-answers") if paid else None
    clients = [PlannerClient(planner, cache_for(planner, folder), spend_limit, fallback) for planner in planners]
    for cost in filter(None, map(estimate, clients)):
        sentence = f"{cost.planner}: at most {cost.calls} questions, {show_usd(cost.amount)} at the most"
        typer.echo(sentence, err=True)
    if paid and spend_limit.amount is None:
        raise BadInput("asking costs money: say how much it may, by --limit USD")
    return clients


def progress_bars(stack: ExitStack, total: int) -> "OnProgress":
    """A bar per planner, on stderr."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from gpuagent.core.status import planner_label

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def on_progress(planner: str, played: int, _: int) -> None:
        if planner not in tasks:
            tasks[planner] = bars.add_task(planner_label(planner), total=total)
        bars.update(tasks[planner], completed=played)

    return on_progress
