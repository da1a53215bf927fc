"""Books as text for a terminal: those of one run, and a sweep of all ledgers against the chain."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpuagent.books.audit import Books
from gpuagent.books.findings import MEANING, Finding, Kind
from gpuagent.books.sweep import Sweep
from gpuagent.core.money import show_usd
from gpuagent.core.text import counted
from gpuagent.render.run import credit_of, refunded_of


def books_table(books: Books, payments: Sequence[Mapping[str, Any]] = ()) -> RenderableType:
    """The books of one run, with a verdict. payments: its documents, of which some came back, or is to."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = (
        ("budget", books.budget),
        ("settled", books.ledger.settled),
        *((f"  by {protocol}", settled) for protocol, settled in books.protocols.items()),
        ("held", books.ledger.held),
        ("planner", books.ledger.planner_cost),
        ("available", books.ledger.available),
        ("on chain", books.on_chain),
    )
    back = (("refunded", sum(map(refunded_of, payments))), ("credit at vendors", sum(map(credit_of, payments))))
    for name, value in (*rows, *(row for row in back if row[1])):
        table.add_row(name, show_usd(value))
    verdict = Text("the books balance, and equal the chain", style="green")
    if not books.balanced:
        verdict = Text("the books differ from the chain", style="bold red")
    return Group(table, verdict, *(Text(f"  {difference}", style="red") for difference in books.differences))


def sweep_table(sweep: Sweep, repaired: Sequence[Finding]) -> RenderableType:
    """The sums on both sides, the findings by kind, and a verdict."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("on chain", show_usd(sweep.moved), f"{counted(sweep.transfers, 'transfer')} out of {_wallets(sweep)}")
    table.add_row("settled", show_usd(sweep.settled), "in all ledgers")
    for protocol, settled in sweep.protocols.items():
        table.add_row(f"  by {protocol}", show_usd(settled))
    table.add_row("held", show_usd(sweep.held), f"{counted(sweep.in_flight, 'payment')} in flight")
    if sweep.incoming:
        table.add_row("came in", show_usd(sweep.received), f"{counted(sweep.incoming, 'transfer')}, top-ups among them")
        table.add_row("refunded", show_usd(sweep.refunded), "of it, booked for jobs")
    verdict = Text("every transfer is in a ledger, and every payment on chain", style="green")
    if not sweep.balanced:
        differences = sum(finding.differs for finding in sweep.findings)
        verdict = Text(f"the ledgers differ from the chain: {counted(differences, 'difference')}", style="bold red")
    parts = [*_grouped(repaired, "repaired: ", "green"), *_grouped(sweep.findings, "", "red")]
    return Group(table, *parts, Text(), verdict)


def _grouped(findings: Sequence[Finding], title: str, colour: str) -> list[RenderableType]:
    """Each kind with its findings, run and job first. A kind without a difference is yellow instead of red."""
    lines: list[RenderableType] = []
    for kind in Kind:
        group = [finding for finding in findings if finding.kind is kind]
        if not group:
            continue
        meaning = "" if title else f": {MEANING[kind]}"
        shade = "yellow" if colour == "red" and not any(finding.differs for finding in group) else colour
        lines.append(Text.assemble("\n", (title + kind.value, f"bold {shade}"), (meaning, "dim")))
        lines += [_line(finding, marked=not title) for finding in group]
    return lines


def _line(finding: Finding, marked: bool) -> RenderableType:
    ids = (("run", finding.run_id), ("job", finding.job_id))
    place = " ".join(f"{name} {value}" for name, value in ids if value)
    text = f"{finding.text} (not a difference)" if marked and not finding.differs else finding.text
    return Padding(Text.assemble((f"{place}\n" if place else "", "dim"), text), (0, 0, 0, 2), expand=False)


def _wallets(sweep: Sweep) -> str:
    return sweep.wallets[0] if len(sweep.wallets) == 1 else counted(len(sweep.wallets), "wallet")
