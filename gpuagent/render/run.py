"""Runs for people and programs: rich tables, a live view, JSON. Draws what it is given, asks nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import Decimal128, ObjectId
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gpuagent.books.audit import Books
from gpuagent.core.model import Vendor
from gpuagent.core.money import amount, show_usd
from gpuagent.core.networks import transaction_url
from gpuagent.doctor.conformance import Finding

Document = Mapping[str, Any]

PHASE_COLOURS = {
    "PLANNING": "yellow",
    "APPROVAL": "bold yellow",
    "EXECUTING": "magenta",
    "WAITING": "cyan",
    "SUCCESS": "green",
    "FAILED": "red",
}
KIND_COLOURS = {"agent_reasoning": "yellow", "payment_event": "magenta", "error": "red", "job_log": "dim"}
LOG_LINES = 8
HIDDEN = ("header",)
"""Fields that stay in the database: a stored signature is nobody's reading."""


def plain(value: Any) -> Any:
    """Documents as JSON values: amounts as strings of atomic units, dates in ISO 8601, ids as strings."""
    match value:
        case Decimal128():
            return str(amount(value))
        case ObjectId():
            return str(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return {key: plain(item) for key, item in value.items() if key not in HIDDEN}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def books_json(books: Books) -> dict[str, Any]:
    return {
        "budget": str(books.budget),
        "settled": str(books.ledger.settled),
        "held": str(books.ledger.held),
        "plannerCost": str(books.ledger.planner_cost),
        "available": str(books.ledger.available),
        "onChain": str(books.on_chain),
        "differences": list(books.differences),
        "balanced": books.balanced,
    }


def narration(observations: Iterable[Document]) -> list[Text]:
    """A line per observation, in the order things happened. Bare progress is left to the progress column."""
    return [_line(one) for one in observations if "progress" not in one["data"]]


def _line(one: Document) -> Text:
    at = one["timestamp"].strftime("%H:%M:%S")
    indent = "    " if one["type"] == "job_log" else ""
    return Text.assemble((f"{at}  ", "dim"), (indent + one["content"], KIND_COLOURS.get(one["type"], "")))


def run_view(documents: Mapping[str, Sequence[Document]]) -> RenderableType:
    """A run at a glance: phase, budget bar, jobs, the planner's reasons, the last log lines."""
    (run,) = documents["runs"]
    seen = documents["observations"]
    reasons = [one for one in seen if one["type"] == "agent_reasoning"]
    others = [one for one in seen if one["type"] != "agent_reasoning"]
    return Group(
        _headline(run),
        _budget_bar(run),
        jobs_table(documents["jobs"], documents["payments"]),
        *transfer_links(documents["payments"]),
        Text("\nWhy", style="bold"),
        *narration(reasons[-3:]),
        Text("\nLast seen", style="bold"),
        *narration(others[-LOG_LINES:]),
    )


def _headline(run: Document) -> Text:
    phase = run["phase"]
    title = Text.assemble((f" {phase} ", f"bold reverse {PHASE_COLOURS.get(phase, 'white')}"), f" {run['goal']}  ")
    title.append(f"run {run['_id']}", style="dim")
    if run["reason"]:
        title.append(f"\n{run['reason']}")
    return title


def _budget_bar(run: Document) -> RenderableType:
    total, held, settled, asked = (amount(run[key]) for key in ("budgetTotal", "held", "settled", "plannerCost"))
    text = (
        f"{show_usd(settled)} settled, {show_usd(held)} held, {f'{show_usd(asked)} planner, ' if asked else ''}"
        f"{show_usd(amount(run['budgetRemaining']))} available of {show_usd(total)}"
    )
    if "unproven" in run:
        text += f"; {show_usd(amount(run['unproven']))} claimed and unproven"
    bar = ProgressBar(total=total, completed=settled + held + asked, width=30)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, text)
    return grid


def jobs_table(jobs: Iterable[Document], payments: Iterable[Document]) -> Table:
    settled = [payment for payment in payments if payment["status"] == "completed"]
    transfers = {payment["jobId"]: _transfer(payment) for payment in settled}
    table = Table(title=None, box=None, pad_edge=False)
    for column in ("job", "vendor", "state", "work", "progress", "price", "transfer"):
        table.add_column(column, style="bold" if column == "vendor" else "")
    for job in jobs:
        table.add_row(
            str(job["_id"])[:8],
            escape(job["vendorId"]),
            job["state"],
            job["status"],
            f"{job.get('progress', 0):.0%}",
            show_usd(amount(job["expectedCost"])),
            transfers.get(job["_id"], ""),
        )
    return table


def _transfer(payment: Document) -> Text:
    url = explorer_url(payment)
    return Text((payment.get("x402TxId") or "")[:12], style=f"link {url}" if url else "")


def explorer_url(payment: Document) -> str:
    """Where a person can look at the payment's transfer; "" while there is none, and on the local chain."""
    return transaction_url(payment.get("network") or "", payment.get("x402TxId") or "")


def transfer_links(payments: Iterable[Document]) -> list[Text]:
    """The whole link of each transfer that an explorer shows."""
    return [Text(url, style=f"dim link {url}", overflow="fold") for one in payments if (url := explorer_url(one))]


def run_json(documents: Mapping[str, Sequence[Document]]) -> dict[str, Any]:
    """A run with its jobs, payments and observations. A payment that an explorer shows has explorerUrl."""
    (run,) = documents["runs"]
    told = {name: plain(found) for name, found in documents.items() if name != "runs"}
    for payment, document in zip(told["payments"], documents["payments"], strict=True):
        if url := explorer_url(document):
            payment["explorerUrl"] = url
    return {"run": plain(run), **told}


def runs_table(runs: Iterable[Document]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, min_width=24)
    for column in ("phase", "goal", "budget", "available", "started"):
        table.add_column(column)
    for run in runs:
        table.add_row(
            str(run["_id"]),
            run["phase"],
            escape(run["goal"][:50]),
            show_usd(amount(run["budgetTotal"])),
            show_usd(amount(run["budgetRemaining"])),
            run["createdAt"].strftime("%Y-%m-%d %H:%M"),
        )
    return table


def vendors_table(vendors: Iterable[Vendor]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("vendor", "per hour", "reliability", "GPUs", "endpoint", "network", "paid to", "enabled"):
        table.add_column(column, overflow="fold", min_width=12 if column == "vendor" else None)
    for vendor in vendors:
        table.add_row(
            escape(vendor.vendor_id),
            show_usd(vendor.base_price_per_hour),
            f"{vendor.reliability:.2f}",
            escape(", ".join(vendor.gpu_types)),
            escape(vendor.endpoint),
            vendor.network,
            vendor.pay_to,
            "yes" if vendor.enabled else "no",
        )
    return table


def books_table(books: Books) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = (
        ("budget", books.budget),
        ("settled", books.ledger.settled),
        ("held", books.ledger.held),
        ("planner", books.ledger.planner_cost),
        ("available", books.ledger.available),
        ("on chain", books.on_chain),
    )
    for name, value in rows:
        table.add_row(name, show_usd(value))
    verdict = Text("the books balance, and equal the chain", style="green")
    if not books.balanced:
        verdict = Text("the books differ from the chain", style="bold red")
    return Group(table, verdict, *(Text(f"  {difference}", style="red") for difference in books.differences))


def findings_table(findings: Iterable[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "a vendor", "this one"):
        table.add_column(column)
    for finding in findings:
        mark = Text("ok", style="green") if finding.passed else Text("wrong", style="bold red")
        table.add_row(mark, escape(finding.check), escape(finding.said))
    return table
