"""The owner's rules, and dry runs against them, as text for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.agent.dry_run import DryRun
from gpuagent.core.money import amount, show_usd
from gpuagent.core.policy import LIMITS, Halt, Policy
from gpuagent.core.rules import RULES


def policy_view(document: Mapping[str, Any]) -> RenderableType:
    """One version of the policy."""
    at = document["at"].strftime("%Y-%m-%d %H:%M")
    state = "in force" if document["current"] else "replaced"
    head = Text.assemble((f"version {document['version']}", "bold"), f", {state}, by {document['by']} at {at}")
    table = Table(box=None, pad_edge=False, show_header=False)
    for limit in LIMITS:
        cap = amount(document[limit.key]) if document.get(limit.key) is not None else None
        cap = cap if limit.key in document else limit.of(Policy())
        table.add_row(limit.label, "no limit" if cap is None else show_usd(cap))
    for rule in RULES:
        table.add_row(rule.label, rule.show(document.get(rule.key, rule.of(Policy()))))
    for total in document["tagTotals"]:
        table.add_row(escape(f"tag {total['tag']}, in total"), show_usd(amount(total["total"])))
    for budget in document.get("monthBudgets", ()):  # an older record has none
        what = f"{budget['kind']} {budget['name']}, a month of {document['monthZone']}"
        table.add_row(escape(what), show_usd(amount(budget["amount"])))
    for halt in document["halts"]:
        label = Text("HALTED", style="bold red")
        since = f" at {halt['at']:%Y-%m-%d %H:%M}" if "at" in halt else ""  # an older record has none
        scope = Halt(halt["kind"], halt["name"], halt["by"], halt["why"]).scope
        table.add_row(label, escape(f"{scope}, by {halt['by']}{since}: {halt['why']}"))
    increases = [Text(f"raised: {increase}", style="yellow") for increase in document["raised"]]
    why = [Text(f"why: {document['why']}", style="dim")] if document["why"] else []
    return Group(head, *why, *increases, table, Text(""))


def rehearsal_view(rehearsal: DryRun) -> RenderableType:
    """A dry run: every vendor's quote and refusals, the decision, and what would be paid."""
    table = Table(box=None, pad_edge=False)
    for column in ("vendor", "quote", "would be refused because"):
        table.add_column(column, justify="right" if column == "quote" else "left", overflow="fold")
    for line in rehearsal.lines:
        price = show_usd(line.quote.amount) if line.quote else "none"
        table.add_row(escape(line.vendor.vendor_id), price, escape("; ".join(line.refusals)))
    reason = Text.assemble(("\nplanner: ", "dim"), rehearsal.decision.reason)
    if rehearsal.planner_cost:
        reason.append(f"\nasking cost {show_usd(rehearsal.planner_cost)}, charged to no run", style="yellow")
    quotes = [table] if rehearsal.lines else []
    end = Text("dry run: nothing was signed, nothing reserved", style="dim")
    several = [Text(rehearsal.several)] if rehearsal.several else []
    return Group(*_shipment_tables(rehearsal), *quotes, reason, _verdict(rehearsal), *several, end)


def _shipment_tables(rehearsal: DryRun) -> list[RenderableType]:
    """What would be sent to whom, of a run with a job file."""
    if rehearsal.shipment is None:
        return []
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rehearsal.shipment.facts():
        table.add_row(escape(name), escape(value))
    return [table, Text("")]


def _verdict(rehearsal: DryRun) -> Text:
    line = rehearsal.would_pay
    if line is None or line.quote is None:
        return Text(f"would pay nothing: {rehearsal.why_not}", style="bold red")
    payee = f"{line.vendor.vendor_id} ({line.vendor.pay_to}) on {line.vendor.network}"
    approval = ", once it is approved" if line.needs_approval else ""
    return Text(f"would pay {show_usd(line.quote.amount)} to {payee}{approval}", style="bold green")
