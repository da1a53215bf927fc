"""A run's documents as HTML: budget, jobs, payments. Draws what it is given, asks nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gpuagent.core.money import amount, show_usd
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.render import palette

Document = Mapping[str, Any]

EXPLORERS = {"eip155:8453": "https://basescan.org/tx/", "eip155:84532": "https://sepolia.basescan.org/tx/"}
PARTS = (
    ("settled", "settled", palette.SETTLED),
    ("held", "held", palette.HELD),
    ("planner cost", "plannerCost", palette.PLANNER_COST),
    ("available", "budgetRemaining", palette.AVAILABLE),
)
STATES = {"reserved": "budget held", "authorized": "paying", "voided": "not paid"}
STATUSES = {"submitted": "paid, no job yet"}
ENDS = {"completed": palette.SUCCESS, "failed": palette.FAILED}


def clock_time(at: datetime) -> str:
    """In the reader's own zone."""
    return at.astimezone().strftime("%H:%M:%S")


def vendor_name(vendor_id: str, colours: Mapping[str, str]) -> Html:
    colour = colours.get(vendor_id, palette.OTHER)
    return el("span", el("span", class_="dot", style=f"background:{colour}"), vendor_id, class_="vendor")


def budget_bar(run: Document) -> Html:
    """What the budget is made of, as a bar and in words."""
    total = amount(run["budgetTotal"])
    sums = [(name, amount(run[key]), colour) for name, key, colour in PARTS]
    told = ", ".join(f"{show_usd(value)} {name}" for name, value, _ in sums)
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
        el("div", *bar, class_="bar", role="img", aria_label=f"Budget {show_usd(total)}: {told}"),
        el("div", *legend, el("span", "budget ", el("b", show_usd(total))), class_="legend num"),
    )


def jobs_table(jobs: Sequence[Document], colours: Mapping[str, str]) -> Html:
    if not jobs:
        words = "No job yet: the first Step or Tick asks the vendors for quotes and chooses one."
        return el("p", words, class_="faint")
    rows: list[list[object]] = [
        [
            vendor_name(job["vendorId"], colours),
            el("span", show_usd(amount(job["expectedCost"])), class_="num"),
            _state(job),
            progress_bar(job),
        ]
        for job in jobs
    ]
    return table(("vendor", "price", "state", "progress"), rows, "Jobs")


def _state(job: Document) -> Html:
    status = job["status"]
    words = str(STATES.get(job["state"]) or STATUSES.get(status, status))
    if job.get("silentSince"):
        words += ", silent"
    ended = el("b", words) if status in ENDS else words
    why = job.get("errorMessage") or ""
    metrics = ", ".join(f"{name} {value}" for name, value in list((job.get("finalMetrics") or {}).items())[:4])
    return el("span", ended, el("div", (why or metrics)[:300], class_="faint") if why or metrics else "")


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
            _fate(payment),
            transaction(payment),
        ]
        for payment in payments
    ]
    return table(("payee", "amount", "status", "transaction"), rows, "Payments")


def _fate(payment: Document) -> str:
    match payment["status"]:
        case "completed":
            return f"settled {clock_time(payment['settledAt'])}"
        case "failed":
            return "never settled, released"
    return "signed, not settled yet"


def transaction(payment: Document) -> Html:
    """A link where the chain has a public explorer; else its hash, whole on hover, and its block."""
    known = payment.get("x402TxId")
    if not known:
        return el("span", "none", class_="faint")
    short = f"{known[:10]}…{known[-6:]}"
    where = EXPLORERS.get(payment["network"])
    if where:
        return el("a", short, class_="mono", href=where + known, target="_blank", rel="noopener", title=known)
    return el("span", el("code", short, title=known), f" block {payment['blockNumber']}", class_="num")
