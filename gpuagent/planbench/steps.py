"""Steps of one scenario: what a planner chose over HTTP beside what it chose in memory."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from rich.markup import escape
from rich.table import Table

from gpuagent.core.model import Run
from gpuagent.core.ports.planner import Planner
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.choices import Choice
from gpuagent.planbench.paper.run import play_several
from gpuagent.planbench.play import Play, play_sampled
from gpuagent.planbench.scenarios import Market


def play_in_memory(market: Market, planner: Planner, replicate: int) -> tuple[Play, list[Choice]]:
    """The play and its choices, with the outcomes of one replicate."""
    play_run = play_several if market.count > 1 else play_sampled
    play = play_run(market, planner.name, PlannerClient(planner), replicate)
    return play, [Choice(move.action, move.vendor_id, move.reason) for move in play.moves]


def same_choices(over_http: Sequence[Choice], in_memory: Sequence[Choice]) -> bool:
    return [choice.key for choice in over_http] == [choice.key for choice in in_memory]


def steps_table(over_http: Sequence[Choice], in_memory: Sequence[Choice]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "over HTTP", "in memory", "", "why"):
        table.add_column(column)
    for number, (bought, expected) in enumerate(zip_longest(over_http, in_memory)):
        mark = "=" if bought and expected and bought.key == expected.key else "≠"
        labels = (escape(choice.label) if choice else "" for choice in (bought, expected))
        table.add_row(str(number), *labels, mark, escape((bought or expected).reason))
    return table


def steps_json(run: Run, over_http: Sequence[Choice], in_memory: Sequence[Choice]) -> dict[str, Any]:
    return {
        "same": same_choices(over_http, in_memory),
        "status": run.status.value,
        "overHttp": [choice.as_json() for choice in over_http],
        "inMemory": [choice.as_json() for choice in in_memory],
    }
