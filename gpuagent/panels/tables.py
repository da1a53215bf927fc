"""A run's documents as HTML tables: budget, jobs, payments. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gpuagent.core.model import OWN_PROTOCOL
from gpuagent.core.money import amount, show_usd
from gpuagent.core.networks import transaction_url
from gpuagent.core.status import StatusText
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.render import palette
from gpuagent.render.run import index_label, protocol_of

Document = Mapping[str, Any]

PARTS = (
    ("settled", "settled", palette.SETTLED),
    ("held", "held", palette.HELD),
    ("planner cost", "plannerCost", palette.PLANNER_COST),
    ("available", "budgetRemaining", palette.AVAILABLE),
)
STATUS_MAX, METRICS_MAX = 400, 4
ENDS = {"completed": palette.SUCCESS, "failed": palette.FAILED}


def clock_time(at: datetime) -> str:
    """The time of day in the machine's zone."""
    return at.astimezone().strftime("%H:%M:%S")


def deadline(at: datetime) -> str:
    """A time until which a user may act, in the machine's zone, which it names: on whatever day, read from wherever."""
    return at.astimezone().strftime("%d %b %Y %H:%M:%S %Z")


def vendor_name(vendor_id: str, colours: Mapping[str, str]) -> Html:
    colour = colours.get(vendor_id, palette.UNLISTED)
    return el("span", el("span", class_="dot", style=f"background:{colour}"), vendor_id, class_="vendor")


def budget_bar(run: Document) -> Html:
    """The parts of the budget, as a bar and in words."""
    total = amount(run["budgetTotal"])
    sums = [(name, amount(run[key]), colour) for name, key, colour in PARTS]
    label = ", ".join(f"{show_usd(value)} {name}" for name, value, _ in sums)
    bar = (
        el("span", style=f"width:{100 * value / total:.3f}%;background:{colour}")
        for name, value, colour in sums
        if value and name != "available"
    )
    legend = (
        el("span", el("span", class_="swatch", style=f"background:{colour}"), f"{name} ", el("b", show_usd(value)))
        for name, value, colour in sums
    )
    return join(
        el("div", *bar, class_="bar", role="img", aria_label=f"Budget {show_usd(total)}: {label}"),
        el("div", *legend, el("span", "budget ", el("b", show_usd(total))), class_="legend num"),
    )


def jobs_table(
    jobs: Sequence[Document], colours: Mapping[str, str], status: StatusText, notes: Mapping[str, Sequence[str]]
) -> Html:
    """A row per job. status: its sentence on each. notes: more on each, by its id."""
    if not jobs:
        hint = "No job yet: the first Step or Tick asks the vendors for quotes and chooses one."
        return el("p", hint, class_="faint")
    # Of several: number by number, tries in their order.
    jobs, several = sorted(jobs, key=lambda job: int(job.get("index", 0))), any("index" in job for job in jobs)
    rows: list[list[object]] = [
        [
            *([el("span", index_label(job), class_="num")] if several else []),
            el("span", vendor_name(job["vendorId"], colours), *_by(protocol_of(job))),
            el("span", show_usd(amount(job["expectedCost"])), class_="num"),
            _status(job, status.jobs.get(str(job["_id"]), ""), notes.get(str(job["_id"]), ())),
            progress_bar(job),
        ]
        for job in jobs
    ]
    return table((*(("no.",) if several else ()), "vendor", "price", "status", "progress"), rows, "Jobs")


def _by(protocol: str) -> Sequence[Html]:
    """The protocol that a job was bought by, below its vendor's name; ours goes without saying."""
    return (el("div", f"by {protocol}", class_="faint"),) if protocol not in ("", OWN_PROTOCOL) else ()


def _status(job: Document, sentence: str, notes: Sequence[str]) -> Html:
    """The sentence, or the state and error as they are stored; below, notes and METRICS_MAX of the job's metrics."""
    stored = ": ".join(filter(None, [f"{job['state']}, {job['status']}", job.get("errorMessage")]))
    text = (sentence or stored)[:STATUS_MAX]
    metrics = ", ".join(
        f"{name} {value}" for name, value in list((job.get("finalMetrics") or {}).items())[:METRICS_MAX]
    )
    main = el("b", text) if job["status"] in ENDS else text
    below = [*notes, *([metrics[:STATUS_MAX]] if metrics else [])]
    return el("span", main, *(el("div", line, class_="faint") for line in below))


def progress_bar(job: Document) -> Html:
    """The bar, and its number beside it."""
    share = min(max(float(job.get("progress") or 0), 0), 1)
    colour = ENDS.get(job["status"], palette.WAITING)
    filled = el("span", style=f"width:{share:.1%};background:{colour}")
    bar = el(
        "span",
        filled,
        class_="bar",
        role="progressbar",
        aria_label=f"Progress at {job['vendorId']}",
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=round(share * 100),
    )
    return el("span", bar, el("span", f"{share:.0%}", class_="num"), class_="meter")


def payments_table(payments: Sequence[Document], colours: Mapping[str, str]) -> Html:
    if not payments:
        return el("p", "Nothing was signed, nothing was paid.", class_="faint")
    rows: list[list[object]] = [
        [
            vendor_name(payment["vendorId"], colours),
            el("span", show_usd(amount(payment["amount"])), class_="num"),
            _payment_status(payment),
            transaction(payment),
        ]
        for payment in payments
    ]
    return table(("payee", "amount", "status", "transaction"), rows, "Payments")


def _payment_status(payment: Document) -> str:
    match payment["status"]:
        case "completed":
            return f"settled {clock_time(payment['settledAt'])}"
        case "failed":
            return "never settled, released"
    return "signed, not settled yet"


def transaction(payment: Document) -> Html:
    """A link where the chain has a public explorer; else its hash, whole on hover, and its block."""
    transaction_hash = payment.get("x402TxId")
    if not transaction_hash:
        return el("span", "none", class_="faint")
    short = f"{transaction_hash[:10]}…{transaction_hash[-6:]}"
    if url := transaction_url(payment["network"], transaction_hash):
        return el("a", short, class_="mono", href=url, target="_blank", rel="noopener", title=transaction_hash)
    return el("span", el("code", short, title=transaction_hash), f" block {payment['blockNumber']}", class_="num")
