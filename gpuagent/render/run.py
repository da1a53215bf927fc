"""Runs as text for a terminal: one run in full, its jobs and transfers, lists of runs."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gpuagent.core.credits import outstanding
from gpuagent.core.model import OWN_PROTOCOL, Run
from gpuagent.core.money import amount, show_usd
from gpuagent.core.networks import transaction_url
from gpuagent.core.pace import Pace
from gpuagent.core.status import StatusText, heard_at, status_text
from gpuagent.core.text import counted
from gpuagent.core.units import show_duration
from gpuagent.errors import RunNotOurs
from gpuagent.render.fitting import Fitting
from gpuagent.render.narration import narration_lines

Document = Mapping[str, Any]
Documents = Mapping[str, Sequence[Document]]

PHASE_COLOURS = {
    "PLANNING": "yellow",
    "APPROVAL": "bold yellow",
    "EXECUTING": "magenta",
    "WAITING": "cyan",
    "SUCCESS": "green",
    "FAILED": "red",
}
REASONS, LOG_LINES = 3, 8
"""How many of the newest are shown."""
NO_STATUS = StatusText()


def read_status(load: Callable[[str], Run], documents: Documents, now: float, pace: Pace | None = None) -> StatusText:
    """The status of the run with these documents, in UTC; an original system's run has none. Raises as load()."""
    (run,) = documents["runs"]
    try:
        return status_text(load(str(run["_id"])), now, pace, heard=heard_at(documents["observations"]))
    except RunNotOurs:
        return NO_STATUS


def run_view(documents: Documents, status: StatusText = NO_STATUS) -> RenderableType:
    """A run at a glance: phase, budget bar, jobs, the planner's reasons, the last log lines."""
    (run,) = documents["runs"]
    observations = documents["observations"]
    reasons = [observation for observation in observations if observation["type"] == "agent_reasoning"]
    log = [observation for observation in observations if observation["type"] != "agent_reasoning"]
    jobs = [Fitting(jobs_table(documents["jobs"], documents["payments"], status), folds=True)]
    return Group(
        _headline(run, status),
        _budget_bar(run),
        *(jobs if documents["jobs"] else []),
        *transfer_links(documents["payments"]),
        *money_back_lines(documents["payments"]),
        *_under("Why", narration_lines(reasons[-REASONS:])),
        *_under("Latest events", narration_lines(log)[-LOG_LINES:]),
        *_archive_lines(run),
    )


def _under(heading: str, lines: Sequence[Text]) -> list[Text]:
    return [Text(f"\n{heading}", style="bold"), *lines] if lines else []


def _archive_lines(run: Document) -> list[Text]:
    if not (archive := run.get("archive")):
        return []
    count = counted(archive["observations"], "observation")
    return [Text(f"{count} archived: gpuagent run restore {run['_id']}", style="dim")]


def _headline(run: Document, status: StatusText) -> Text:
    phase = run["phase"]
    title = Text.assemble((f" {phase} ", f"bold reverse {PHASE_COLOURS.get(phase, 'white')}"), f" {run['goal']}  ")
    title.append(f"run {run['_id']}", style="dim")
    if "count" in run:
        title.append(f", {run['count']} jobs, {run['jobsOpenMax']} at once", style="dim")
    if hedging := run.get("hedging"):
        title.append(f", hedged when {show_duration(hedging['afterSeconds'])} late", style="dim")
    if job := job_label(run):
        title.append(f"\n{job}", style="dim")
    if sentence := status.run or run["reason"]:
        title.append(f"\n{sentence}")
    return title


def job_label(run: Document) -> str:
    """The name of the run's workload and the beginning of its hash; "" for a run without one."""
    return f"job {json.loads(run['workload'])['name']} {run['workloadHash'][:12]}" if run.get("workload") else ""


def _budget_bar(run: Document) -> RenderableType:
    total = amount(run["budgetTotal"])
    reserved = amount(run["held"])
    settled = amount(run["settled"])
    planner_cost = amount(run["plannerCost"])
    text = (
        f"{show_usd(settled)} settled, {show_usd(reserved)} held, "
        f"{f'{show_usd(planner_cost)} planner, ' if planner_cost else ''}"
        f"{show_usd(amount(run['budgetRemaining']))} available of {show_usd(total)}"
    )
    if "unproven" in run:
        text += f"; {show_usd(amount(run['unproven']))} claimed and unproven"
    bar = ProgressBar(total=total, completed=settled + reserved + planner_cost, width=30)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, text)
    return grid


def jobs_table(jobs: Iterable[Document], payments: Iterable[Document], status: StatusText = NO_STATUS) -> Table:
    """A row per job. status: its sentence on each; without one, the state as it is stored."""
    settled = [payment for payment in payments if payment["status"] == "completed"]
    transfers = {payment["jobId"]: _transfer(payment) for payment in settled}
    table = Table(title=None, box=None, pad_edge=False)
    jobs = sorted(jobs, key=lambda job: int(job.get("index", 0)))  # of several: number by number, tries in their order
    several = any("index" in job for job in jobs)
    if several:
        table.add_column("no.", justify="right", no_wrap=True)
    protocols = {protocol_of(job) for job in jobs} - {OWN_PROTOCOL, ""}  # ours goes without saying
    names = ("job", "vendor", *(["protocol"] if protocols else []), "status", "progress", "hours", "price", "transfer")
    for column in names:
        is_number = column in ("progress", "hours", "price")
        is_vendor = column == "vendor"
        table.add_column(
            column,
            style="bold" if is_vendor else "",
            justify="right" if is_number else "left",
            no_wrap=is_number or is_vendor,
        )
    for job in jobs:
        table.add_row(
            *([index_label(job)] if several else []),
            str(job["_id"])[:8],
            escape(job["vendorId"]),
            *([escape(protocol_of(job))] if protocols else []),
            escape(status.jobs.get(str(job["_id"])) or f"{job['state']}, {job['status']}"),
            f"{job.get('progress', 0):.0%}",
            f"{job['jobParams']['maxHours']:g}" if "jobParams" in job else "",
            show_usd(amount(job["expectedCost"])),
            transfers.get(job["_id"], ""),
        )
    return table


def index_label(job: Document) -> str:
    """The number of a job among several; "" for the job of a run with one, and for one whose number is lost."""
    return str(job["index"]) if job.get("index", -1) >= 0 else ""


def protocol_of(job: Document) -> str:
    """The protocol that a job was bought by; older records name none, and the original system's jobs have none."""
    return job["quote"].get("protocol", OWN_PROTOCOL) if job.get("quote") else ""


def _transfer(payment: Document) -> Text:
    url = explorer_url(payment)
    return Text((payment.get("x402TxId") or "")[:12], style=f"link {url}" if url else "")


def explorer_url(payment: Document) -> str:
    """The page of the payment's transfer at a public explorer; "" while there is none, and on the local chain."""
    return transaction_url(payment.get("network") or "", payment.get("x402TxId") or "")


def transfer_links(payments: Iterable[Document]) -> list[Text]:
    """The whole link of each transfer that an explorer shows."""
    urls = [explorer_url(payment) for payment in payments]
    return [Text(url, style=f"dim link {url}", overflow="fold") for url in urls if url]


def money_back_lines(payments: Iterable[Document]) -> list[Text]:
    """A line for each payment of which something came back, or of which its vendor says that it has a credit."""
    lines = []
    for payment in payments:
        label = f"job {str(payment['jobId'])[:8]}: "
        paid, refunded = amount(payment["amount"]), refunded_of(payment)
        if refunded:
            lines.append(Text(f"{label}{show_usd(refunded)} of {show_usd(paid)} refunded by transfer", style="green"))
        if credit := credit_of(payment):
            text = f"{label}{show_usd(credit)} credit at {payment['vendorId']}, by its word alone: no money"
            lines.append(Text(text, style="yellow"))
    return lines


def refunded_of(payment: Document) -> int:
    """What came back of a payment by transfer."""
    return amount(payment["refunded"]) if "refunded" in payment else 0


def credit_of(payment: Document) -> int:
    """What is left of the vendor's credit for a payment, 0 where nothing was paid."""
    if payment["status"] != "completed" or "credit" not in payment:
        return 0
    return outstanding(amount(payment["credit"]), refunded_of(payment))


def runs_table(runs: Iterable[Document]) -> RenderableType:
    """A line per run, in 80 columns too: only the goal is cut. Records in a narrower terminal."""
    table = Table(box=None, pad_edge=False)
    for column in ("run", "phase", "started"):
        table.add_column(column, no_wrap=True)
    table.add_column("left, USD", justify="right", no_wrap=True)
    table.add_column("goal")
    for run in runs:
        started: datetime = run["createdAt"]
        amounts = (show_usd(amount(run[name])) for name in ("budgetRemaining", "budgetTotal"))
        remaining, budget = (text.removesuffix(" USD") for text in amounts)
        table.add_row(
            str(run["_id"]),
            run["phase"],
            started.strftime("%Y-%m-%d %H:%M"),
            f"{remaining} of {budget}",
            Text(run["goal"], no_wrap=True, overflow="ellipsis"),
        )
    return Fitting(table, folds=True)
