"""The demo: a small language model is trained on embedded parts, loses its machine halfway, and comes back whole."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gpuagent import settings, wiring
from gpuagent.agent.drive import drive
from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.pace import Pace
from gpuagent.core.status import status_text
from gpuagent.core.text import counted
from gpuagent.practice import stack
from gpuagent.practice.delivery import Delivery, delivery_of, delivery_parts, example_job
from gpuagent.render.as_json import books_json
from gpuagent.render.books import books_table
from gpuagent.render.json_value import json_value
from gpuagent.render.narration import Narration
from gpuagent.render.run import jobs_table
from gpuagent.render.saving import save_below
from gpuagent.tick import tick
from gpuagent.wiring.vendors import record_vendors

PRACTICE_PACE = Pace(poll_s=0.2)
"""A practice vendor takes seconds for a paid hour."""
Say = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How the demo ended. Balances and transfers are those of the payer, in atomic units."""

    run: Run
    documents: dict[str, Any]
    books: Books
    payer: str
    before: int
    after: int
    transfers: tuple[Any, ...]
    seconds: float
    delivery: Delivery

    @property
    def completed(self) -> bool:
        return self.run.status is RunStatus.COMPLETED

    def as_json(self) -> dict[str, Any]:
        (run,) = self.documents["runs"]
        return {
            "run": json_value(run),
            "jobs": json_value(self.documents["jobs"]),
            "payments": json_value(self.documents["payments"]),
            "observations": len(self.documents["observations"]),
            "chain": {
                "payer": self.payer,
                "before": str(self.before),
                "after": str(self.after),
                "transfers": [{"tx": t.transaction, "to": t.payee, "amount": str(t.amount)} for t in self.transfers],
            },
            "books": books_json(self.books),
            **self.delivery.as_json(),
            "seconds": round(self.seconds, 3),
        }


def play(budget: str, fail_vendor: str, fail_rate: str, say: Say | None, save: Path | None = None) -> DemoResult:
    """Start everything, run the example job to its end, hold the ledger against the chain, stop everything.

    say: gets lines and tables for the user as things happen. save: the folder for the files that come back, which end
    with the demo otherwise. Raises BadInput, ConfigError.
    """
    began = time.monotonic()
    tell = say or (lambda _: None)
    amount, job = parse_usd(budget), example_job()
    tell("[dim]starting mongod, a local chain with test USDC, and three vendors ...[/]")
    with (
        stack.start(PORT="0", FAIL_VENDOR_ID=fail_vendor, FAIL_RATE=fail_rate) as running,
        wiring.open_agent(settings.read(running.environment)) as agent,
    ):
        record_vendors(agent.database, running.vendors)
        payer = agent.ports.wallet.address
        opening = agent.chain.head(payer)
        workload = job.workload
        tell(
            f"[bold]{workload.name}[/]: {workload.resources.gpu_type} for {workload.hours} h, {len(workload.inputs)} "
            f"files to send, {len(workload.outputs)} to get back, at most {show_usd(amount)}"
        )
        tell(f"[dim]payer {payer}, with {show_usd(opening.balance)} for tests[/]\n")
        order = Order(goal="", budget=amount, workload=workload, sources=job.sources)
        run = follow(start(order, agent.ports), agent, tell, PRACTICE_PACE)
        result = DemoResult(
            run=run,
            documents=agent.reads.documents(run.run_id),
            books=audit(run, agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token),
            payer=payer,
            before=opening.balance,
            after=agent.chain.head(payer).balance,
            transfers=agent.chain.transfers(payer, opening.number),
            seconds=time.monotonic() - began,
            delivery=delivery_of(run, agent),
        )
        saved = save_below(save, {file.path: file for file in result.delivery.files}, agent.ports.files) if save else ()
    _tell_end(result, tell)
    if saved:
        tell(f"the files are in {save}/, hashed once more while they were written")
    return result


def follow(run: Run, agent: wiring.Agent, tell: Say, pace: Pace) -> Run:
    """Tick the run to its end and tell every observation once."""
    narration = Narration(agent.reads.documents, run.run_id)
    for line in narration.lines():
        tell(line)
    for attempt in drive(run, partial(tick, ports=agent.ports), time.sleep, pace):
        run = attempt.run
        for line in narration.lines():
            tell(line)
    return run


def _tell_end(result: DemoResult, tell: Say) -> None:
    colour = "green" if result.completed else "red"
    tell(f"\n[bold {colour}]run {result.run.status}[/]: {result.run.reason}\n")
    status = status_text(result.run, time.time())
    tell(jobs_table(result.documents["jobs"], result.documents["payments"], status))
    for part in delivery_parts(result.delivery):
        tell(part)
    tell("")
    tell(books_table(result.books))
    spent = result.before - result.after
    tell(f"the chain: {counted(len(result.transfers), 'transfer')}, {show_usd(spent)} less in the wallet")
