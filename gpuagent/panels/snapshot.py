"""One look at the database and the chain, and the few words in which a run and a desk are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuagent.core.money import amount, show_usd, usd
from gpuagent.core.policy import Policy
from gpuagent.core.records import RunSnapshot
from gpuagent.errors import ChainError
from gpuagent.panels.event_log import LINES_MAX
from gpuagent.panels.kit.html import Html, el
from gpuagent.render.palette import vendor_colours
from gpuagent.session import Desk

RUNS_MAX = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the database and the chain found. seen: None while no run is open."""

    runs: list[Mapping[str, Any]]
    seen: RunSnapshot | None
    policy: Policy
    colours: Mapping[str, str]
    balance: str


def read(desk: Desk, run_id: str, types: Sequence[str], contained: str) -> Reading:
    """run_id: "" for none; types, contained: which observations. Raises UnknownRun, PolicyRefused, StoreError."""
    reads = desk.agent.reads
    seen = reads.glance(run_id, types, contained, LINES_MAX + 1) if run_id else None
    runs = reads.runs(RUNS_MAX)
    if seen and seen.run["_id"] not in {run["_id"] for run in runs}:
        runs = [*runs, seen.run]
    try:
        balance = show_usd(desk.agent.chain.head(desk.agent.ports.wallet.address).balance)
    except ChainError as error:
        balance = f"unknown ({error})"
    return Reading(runs, seen, desk.agent.store.policy(), colours(desk), balance)


def newest(desk: Desk) -> str:
    runs = desk.agent.reads.runs(RUNS_MAX)
    running = [run for run in runs if run["status"] == "running"]
    return str((running or runs)[0]["_id"]) if runs else ""


def colours(desk: Desk) -> Mapping[str, str]:
    return vendor_colours([vendor.vendor_id for vendor in desk.agent.store.vendors()])


def listed(run: Mapping[str, Any]) -> str:
    at = run["createdAt"].astimezone().strftime("%d %b %H:%M")
    spent, budget = amount(run["settled"]), amount(run["budgetTotal"])
    return f"{run['phase']:<9}  {at}  {usd(spent):>8.2f} of {show_usd(budget):<11}  {run['goal'][:70]}"


def title(desk: Desk, balance: str) -> Html:
    wallet = desk.agent.ports.wallet
    market = "practice market" if desk.faults else wallet.token.network
    words = ("wallet ", el("code", f"{wallet.address[:8]}…{wallet.address[-4:]}", title=wallet.address), " holds ")
    where = f", {market}, database {desk.settings.database}"
    return el(
        "div",
        el("h2", "gpuagent console"),
        el("span", *words, el("b", balance), where, class_="faint"),
        class_="head",
    )
