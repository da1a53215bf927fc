"""The owner's rules, and dry runs, for people and programs."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.agent.dry_run import Line, Rehearsal
from gpuagent.core.money import amount, show_usd

RULES = {
    "perPayment": "a payment, at most",
    "vendorPerRun": "one vendor in one run",
    "vendorPerDay": "one vendor in 24 hours",
    "walletPerDay": "one wallet in 24 hours",
    "approvalAbove": "a person approves above",
}


def policy_view(document: Mapping[str, Any]) -> RenderableType:
    """One version of the policy."""
    at = document["at"].strftime("%Y-%m-%d %H:%M")
    state = "in force" if document["current"] else "replaced"
    head = Text.assemble((f"version {document['version']}", "bold"), f", {state}, by {document['by']} at {at}")
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, words in RULES.items():
        table.add_row(words, "no limit" if document[key] is None else show_usd(amount(document[key])))
    for one in document["tagTotals"]:
        table.add_row(escape(f"tag {one['tag']}, in total"), show_usd(amount(one["total"])))
    for one in document["halts"]:
        table.add_row(
            Text("HALTED", style="bold red"), escape(f"{one['kind']} {one['name']}, by {one['by']}: {one['why']}")
        )
    told = [Text(f"raised: {raised}", style="yellow") for raised in document["raised"]]
    why = [Text(f"why: {document['why']}", style="dim")] if document["why"] else []
    return Group(head, *why, *told, table, Text(""))


def rehearsal_view(found: Rehearsal) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in ("vendor", "quote", "would be refused because"):
        table.add_column(column, overflow="fold")
    for line in found.lines:
        price = show_usd(line.quote.amount) if line.quote else "none"
        table.add_row(escape(line.vendor.vendor_id), price, escape("; ".join(line.refused)))
    reason = Text.assemble(("\nplanner: ", "dim"), found.decision.reason)
    if found.planner_cost:
        reason.append(f"\nasking cost {show_usd(found.planner_cost)}, charged to no run", style="yellow")
    quotes = [table] if found.lines else []
    return Group(*quotes, reason, _verdict(found), Text("dry run: nothing was signed, nothing reserved", style="dim"))


def _verdict(found: Rehearsal) -> Text:
    line = found.would_pay
    if line is None or line.quote is None:
        return Text(f"would pay nothing: {found.why_not}", style="bold red")
    payee = f"{line.vendor.vendor_id} ({line.vendor.pay_to}) on {line.vendor.network}"
    approval = ", after a person approves it" if line.needs_approval else ""
    return Text(f"would pay {show_usd(line.quote.amount)} to {payee}{approval}", style="bold green")


def rehearsal_json(found: Rehearsal) -> dict[str, Any]:
    """Amounts in atomic units, as strings."""
    return {
        "vendors": [_line(line) for line in found.lines],
        "decision": {"action": found.decision.action.value, "reason": found.decision.reason},
        "wouldPay": _line(found.would_pay) if found.would_pay else None,
        "whyNot": found.why_not,
        "plannerCost": str(found.planner_cost),
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "vendorId": line.vendor.vendor_id,
        "amount": str(line.quote.amount) if line.quote else None,
        "payTo": line.vendor.pay_to,
        "refused": list(line.refused),
        "needsApproval": line.needs_approval,
    }
