"""The main job on embedded parts: one agent, a failing vendor, books that balance."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gpuagent import settings, wiring
from gpuagent.agent.drive import drive
from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.ports import Pace
from gpuagent.practice import stack
from gpuagent.render.run import books_json, books_table, jobs_table, narration, plain
from gpuagent.tick import tick

GOAL = "Fine-tune tiny-llm"
PRACTICE_PACE = Pace(poll_s=0.2)
"""A practice vendor takes seconds for a paid hour."""
Say = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the demo ended. Balances and transfers are those of the payer, in atomic units."""

    run: Run
    documents: dict[str, Any]
    books: Books
    payer: str
    before: int
    after: int
    transfers: tuple[Any, ...]
    seconds: float

    @property
    def completed(self) -> bool:
        return self.run.status is RunStatus.COMPLETED

    def as_json(self) -> dict[str, Any]:
        (run,) = self.documents["runs"]
        return {
            "run": plain(run),
            "jobs": plain(self.documents["jobs"]),
            "payments": plain(self.documents["payments"]),
            "observations": len(self.documents["observations"]),
            "chain": {
                "payer": self.payer,
                "before": str(self.before),
                "after": str(self.after),
                "transfers": [{"tx": t.transaction, "to": t.payee, "amount": str(t.amount)} for t in self.transfers],
            },
            "books": books_json(self.books),
            "seconds": round(self.seconds, 3),
        }


def play(budget: str, fail_vendor: str, fail_rate: str, say: Say | None) -> Outcome:
    """Start everything, run one goal to its end, hold the ledger against the chain, stop everything.

    say: gets lines and tables for a person as things happen. Raises BadInput, ConfigError.
    """
    began, tell = time.monotonic(), say or (lambda _: None)
    amount = parse_usd(budget)
    tell("[dim]starting mongod, a local chain with test USDC, and three vendors ...[/]")
    with (
        stack.start(PORT="0", FAIL_VENDOR_ID=fail_vendor, FAIL_RATE=fail_rate) as running,
        wiring.open_agent(settings.read(running.environment)) as agent,
    ):
        wiring.record_vendors(agent.database, running.vendors)
        payer = agent.ports.wallet.address
        opening = agent.chain.head(payer)
        tell(f'[bold]"{GOAL}"[/], one A100 for an hour, at most {show_usd(amount)}')
        tell(f"[dim]payer {payer}, holding {show_usd(opening.balance)} of test USDC[/]\n")
        run = follow(start(Order(goal=GOAL, budget=amount), agent.ports), agent, tell, PRACTICE_PACE)
        outcome = Outcome(
            run=run,
            documents=agent.reads.documents(run.run_id),
            books=audit(run, agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token),
            payer=payer,
            before=opening.balance,
            after=agent.chain.head(payer).balance,
            transfers=agent.chain.transfers(payer, opening.number),
            seconds=time.monotonic() - began,
        )
    _tell_end(outcome, tell)
    return outcome


def follow(run: Run, agent: wiring.Agent, tell: Say, pace: Pace) -> Run:
    """Tick the run to its end, telling every observation once."""
    told = 0

    def tell_news() -> None:
        nonlocal told
        observations = agent.reads.documents(run.run_id)["observations"]
        for line in narration(observations[told:]):
            tell(line)
        told = len(observations)

    tell_news()
    for made in drive(run, partial(tick, ports=agent.ports), time.sleep, pace):
        run = made.run
        tell_news()
    return run


def _tell_end(outcome: Outcome, tell: Say) -> None:
    colour = "green" if outcome.completed else "red"
    tell(f"\n[bold {colour}]run {outcome.run.status}[/]: {outcome.run.reason}\n")
    tell(jobs_table(outcome.documents["jobs"], outcome.documents["payments"]))
    tell("")
    tell(books_table(outcome.books))
    spent = outcome.before - outcome.after
    tell(f"the chain: {len(outcome.transfers)} transfers, {show_usd(spent)} less in the wallet")
