"""What a dry run found, as a table and a verdict."""

from gpuagent.agent.dry_run import DryRun, Line
from gpuagent.core.money import show_usd
from gpuagent.panels.kit.html import Html, el, join, table


def rehearsed(found: DryRun) -> Html:
    rows = [_row(line) for line in found.lines]
    return join(
        el("p", el("b", _verdict(found))),
        table(("vendor", "quote", "would be refused because"), rows, "Dry run"),
        el("p", "Planner: ", found.decision.reason),
        el("p", "Dry run: nothing was signed, nothing reserved.", class_="faint"),
    )


def _row(line: Line) -> list[object]:
    price = show_usd(line.quote.amount) if line.quote else "none"
    return [line.vendor.vendor_id, el("span", price, class_="num"), "; ".join(line.refusals) or "not refused"]


def _verdict(found: DryRun) -> str:
    line = found.would_pay
    if line is None or line.quote is None:
        return f"Would pay nothing: {found.why_not}"
    approval = ", after a person approves it" if line.needs_approval else ""
    return f"Would pay {show_usd(line.quote.amount)} to {line.vendor.vendor_id}{approval}."
