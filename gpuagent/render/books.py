"""What a sweep of all books found, for people and programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpuagent.books.findings import MEANING, Finding, Kind
from gpuagent.books.sweep import Sweep
from gpuagent.core.money import show_usd


def sweep_json(found: Sweep, repaired: Sequence[Finding]) -> dict[str, Any]:
    """Amounts as strings of atomic units."""
    return {
        "wallets": list(found.wallets),
        "transfers": found.transfers,
        "amount": str(found.moved),
        "settled": str(found.settled),
        "held": str(found.held),
        "inFlight": found.in_flight,
        "findings": [_finding_json(finding) for finding in found.findings],
        "repaired": [_finding_json(finding) for finding in repaired],
        "balanced": found.balanced,
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "runId": finding.run_id,
        "jobId": finding.job_id,
        "content": finding.text,
        "difference": finding.differs,
        "repairable": finding.repairable,
    }


def sweep_table(found: Sweep, repaired: Sequence[Finding]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("on chain", show_usd(found.moved), f"{_of(found.transfers, 'transfer')} out of {_wallets(found)}")
    table.add_row("settled", show_usd(found.settled), "in all ledgers")
    table.add_row("held", show_usd(found.held), f"{_of(found.in_flight, 'payment')} in flight")
    verdict = Text("every transfer is in a ledger, and every payment on chain", style="green")
    if not found.balanced:
        differences = sum(finding.differs for finding in found.findings)
        verdict = Text(f"the ledgers differ from the chain: {_of(differences, 'difference')}", style="bold red")
    parts = [*_grouped(repaired, "repaired: ", "green"), *_grouped(found.findings, "", "red")]
    return Group(table, *parts, Text(), verdict)


def _grouped(findings: Sequence[Finding], title: str, colour: str) -> list[RenderableType]:
    """A heading for each kind, and below it where and what. What is no difference is yellow instead."""
    lines: list[RenderableType] = []
    for kind in Kind:
        same = [finding for finding in findings if finding.kind is kind]
        if not same:
            continue
        meaning = "" if title else f": {MEANING[kind]}"
        shade = "yellow" if colour == "red" and not any(finding.differs for finding in same) else colour
        lines.append(Text.assemble("\n", (title + kind.value, f"bold {shade}"), (meaning, "dim")))
        lines += [_line(finding, told=not title) for finding in same]
    return lines


def _line(finding: Finding, told: bool) -> RenderableType:
    named = (("run", finding.run_id), ("job", finding.job_id))
    place = " ".join(f"{name} {value}" for name, value in named if value)
    words = f"{finding.text} (not a difference)" if told and not finding.differs else finding.text
    return Padding(Text.assemble((f"{place}\n" if place else "", "dim"), words), (0, 0, 0, 2), expand=False)


def _of(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _wallets(found: Sweep) -> str:
    return found.wallets[0] if len(found.wallets) == 1 else _of(len(found.wallets), "wallet")
