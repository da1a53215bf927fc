"""The result of a dry run as HTML: a table of the vendors and a verdict."""

from gpuagent.agent.dry_run import DryRun, Line
from gpuagent.core.money import show_usd
from gpuagent.panels.kit.html import Html, el, join, table


def dry_run_report(rehearsal: DryRun) -> Html:
    rows = [_row(line) for line in rehearsal.lines]
    return join(
        el("p", el("b", _verdict(rehearsal))),
        el("p", rehearsal.several) if rehearsal.several else "",
        table(("sent", "what"), [list(fact) for fact in rehearsal.shipment.facts()], "Sent")
        if rehearsal.shipment
        else "",
        table(("vendor", "quote", "would be refused because"), rows, "Dry run"),
        el("p", "Planner: ", rehearsal.decision.reason),
        el("p", "Dry run: nothing was signed, nothing reserved.", class_="faint"),
    )


def _row(line: Line) -> list[object]:
    price = show_usd(line.quote.amount) if line.quote else "none"
    return [line.vendor.vendor_id, el("span", price, class_="num"), "; ".join(line.refusals) or "not refused"]


def _verdict(rehearsal: DryRun) -> str:
    line = rehearsal.would_pay
    if line is None or line.quote is None:
        return f"Would pay nothing: {rehearsal.why_not}"
    approval = ", once it is approved" if line.needs_approval else ""
    return f"Would pay {show_usd(line.quote.amount)} to {line.vendor.vendor_id}{approval}."
