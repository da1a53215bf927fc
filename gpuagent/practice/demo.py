"""The demo: a small language model is trained on embedded parts, loses its machine halfway, and comes back whole."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from rich.text import Text

from gpuagent import settings, wiring
from gpuagent.agent.drive import drive
from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.pace import Pace
from gpuagent.core.resume import resumed_from
from gpuagent.core.run_files import RunFile
from gpuagent.core.status import status_text
from gpuagent.core.text import clean
from gpuagent.core.work import FileKind
from gpuagent.errors import ConfigError
from gpuagent.practice import stack
from gpuagent.render.as_json import books_json, json_value
from gpuagent.render.books import books_table
from gpuagent.render.narration import Narration
from gpuagent.render.run import jobs_table
from gpuagent.tick import tick
from gpuagent.wire.download import Download
from gpuagent.wire.egress import direct
from gpuagent.wire.examples import example_jobs, root_of
from gpuagent.wire.job_inputs import SealedJob, open_job

EXAMPLE = "tiny_llm"
SAMPLE = "sample.txt"
"""The output with a text that the model writes."""
SAMPLE_MAX = 100
PRACTICE_PACE = Pace(poll_s=0.2)
"""A practice vendor takes seconds for a paid hour."""
Say = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The job that went on from another's checkpoint. Hours are GPU hours; from_fraction: of the work, 0 to 1."""

    from_fraction: float
    hours_bought: Decimal
    hours_saved: Decimal

    def as_json(self) -> dict[str, float]:
        return {
            "from_fraction": self.from_fraction,
            "hours_bought": float(self.hours_bought),
            "hours_saved": float(self.hours_saved),
        }


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How the demo ended. Balances and transfers are those of the payer, in atomic units.

    files: what the completed job delivered. resumed: None where no job went on from another's checkpoint. sample: what
    the model writes, one line of it.
    """

    run: Run
    documents: dict[str, Any]
    books: Books
    payer: str
    before: int
    after: int
    transfers: tuple[Any, ...]
    seconds: float
    files: tuple[RunFile, ...] = ()
    resumed: Resumed | None = None
    sample: str = ""

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
            "files": [
                {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "vendor": file.vendor_id}
                for file in self.files
            ],
            "resumed": self.resumed and self.resumed.as_json(),
            "seconds": round(self.seconds, 3),
        }


def play(budget: str, fail_vendor: str, fail_rate: str, say: Say | None) -> DemoResult:
    """Start everything, run the example job to its end, hold the ledger against the chain, stop everything.

    say: gets lines and tables for the user as things happen. Raises BadInput, ConfigError.
    """
    began = time.monotonic()
    tell = say or (lambda _: None)
    amount, job = parse_usd(budget), example_job()
    tell("[dim]starting mongod, a local chain with test USDC, and three vendors ...[/]")
    with (
        stack.start(PORT="0", FAIL_VENDOR_ID=fail_vendor, FAIL_RATE=fail_rate) as running,
        wiring.open_agent(settings.read(running.environment)) as agent,
    ):
        wiring.record_vendors(agent.database, running.vendors)
        payer = agent.ports.wallet.address
        opening = agent.chain.head(payer)
        workload = job.workload
        tell(
            f"[bold]{workload.name}[/]: {workload.resources.gpu_type} for {workload.hours} h, {len(workload.inputs)} "
            f"files to send, {len(workload.outputs)} to get back, at most {show_usd(amount)}"
        )
        tell(f"[dim]payer {payer}, holding {show_usd(opening.balance)} of test USDC[/]\n")
        order = Order(goal="", budget=amount, workload=workload, sources=job.sources)
        run = follow(start(order, agent.ports), agent, tell, PRACTICE_PACE)
        files = _delivered(agent.reads.files(run.run_id))
        result = DemoResult(
            run=run,
            documents=agent.reads.documents(run.run_id),
            books=audit(run, agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token),
            payer=payer,
            before=opening.balance,
            after=agent.chain.head(payer).balance,
            transfers=agent.chain.transfers(payer, opening.number),
            seconds=time.monotonic() - began,
            files=files,
            resumed=_resumed(run),
            sample=_sample(files, agent),
        )
    _tell_end(result, tell)
    return result


def example_job() -> SealedJob:
    """The example that is trained. Raises ConfigError where the package was installed without it."""
    path = example_jobs().get(EXAMPLE)
    if path is None:
        raise ConfigError(f"the example job {EXAMPLE} was not installed: install gpuagent as its README says")
    return open_job(path, {}, Download(direct()), root_of(path))


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


def _delivered(files: Iterable[RunFile]) -> tuple[RunFile, ...]:
    return tuple(file for file in files if file.kind == FileKind.OUTPUT and file.completed)


def _resumed(run: Run) -> Resumed | None:
    """The last job that went on from a checkpoint."""
    checkpoints = {
        job.checkpoint.sha256: job.checkpoint for job in run.jobs if isinstance(job, Settled) and job.checkpoint
    }
    for job in reversed(run.jobs):
        origin = checkpoints.get(resumed_from(job.quote))
        if origin:
            hours = job.quote.max_hours
            return Resumed(origin.fraction or 0.0, hours, run.max_hours - hours)
    return None


def _sample(files: Iterable[RunFile], agent: wiring.Agent) -> str:
    """The beginning of what the model writes, on one line."""
    for file in files:
        if file.path == SAMPLE:
            text = b"".join(agent.ports.files.read(file.sha256)).decode(errors="replace")
            return clean(" ".join(text.split()), SAMPLE_MAX)
    return ""


def _tell_end(result: DemoResult, tell: Say) -> None:
    colour = "green" if result.completed else "red"
    tell(f"\n[bold {colour}]run {result.run.status}[/]: {result.run.reason}\n")
    status = status_text(result.run, time.time())
    tell(jobs_table(result.documents["jobs"], result.documents["payments"], status))
    if resumed := result.resumed:
        hours = f"{resumed.hours_bought} h were bought, {resumed.hours_saved} h saved"
        tell(f"\nresumed at {resumed.from_fraction:.0%} of the work: {hours}")
    for file in result.files:
        tell(Text(f"{file.path:<14}{file.bytes:>8,} bytes  {file.sha256}  {file.vendor_id}"))
    if result.sample:
        tell(Text.assemble(("the model writes: ", "dim"), result.sample))
    tell("")
    tell(books_table(result.books))
    spent = result.before - result.after
    tell(f"the chain: {len(result.transfers)} transfers, {show_usd(spent)} less in the wallet")
