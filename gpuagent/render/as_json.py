"""Runs, books and dry runs as JSON objects: amounts as strings of atomic units."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuagent.agent.dry_run import DryRun, Line
from gpuagent.books.audit import Books
from gpuagent.books.findings import Finding
from gpuagent.books.sweep import Sweep
from gpuagent.render.json_value import json_value
from gpuagent.render.run import credit_of, explorer_url, refunded_of


def run_json(documents: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """A run with its jobs, payments and observations. A payment that an explorer shows has explorerUrl."""
    (run,) = documents["runs"]
    parts = {name: json_value(collection) for name, collection in documents.items() if name != "runs"}
    for payment, document in zip(parts["payments"], documents["payments"], strict=True):
        if url := explorer_url(document):
            payment["explorerUrl"] = url
    return {"run": json_value(run), **parts}


def books_json(books: Books, payments: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The books of one run. payments: its documents, for what came back and is to; None to leave that out."""
    sums = {"refunded": refunded_of, "credit": credit_of} if payments is not None else {}
    return {
        "budget": str(books.budget),
        "settled": str(books.ledger.settled),
        "settledByProtocol": {protocol: str(settled) for protocol, settled in books.protocols.items()},
        "held": str(books.ledger.held),
        "plannerCost": str(books.ledger.planner_cost),
        "available": str(books.ledger.available),
        "onChain": str(books.on_chain),
        **{name: str(sum(map(part, payments or ()))) for name, part in sums.items()},
        "differences": list(books.differences),
        "balanced": books.balanced,
    }


def sweep_json(sweep: Sweep, repaired: Sequence[Finding]) -> dict[str, Any]:
    """The books of all runs against the chain."""
    return {
        "wallets": list(sweep.wallets),
        "transfers": sweep.transfers,
        "amount": str(sweep.moved),
        "settled": str(sweep.settled),
        "settledByProtocol": {protocol: str(settled) for protocol, settled in sweep.protocols.items()},
        "held": str(sweep.held),
        "inFlight": sweep.in_flight,
        "incoming": sweep.incoming,
        "received": str(sweep.received),
        "refunded": str(sweep.refunded),
        "findings": [_finding_json(finding) for finding in sweep.findings],
        "repaired": [_finding_json(finding) for finding in repaired],
        "balanced": sweep.balanced,
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


def rehearsal_json(rehearsal: DryRun) -> dict[str, Any]:
    """A dry run."""
    return {
        "vendors": [_line_json(line) for line in rehearsal.lines],
        "decision": {"action": rehearsal.decision.action.value, "reason": rehearsal.decision.reason},
        "wouldPay": _line_json(rehearsal.would_pay) if rehearsal.would_pay else None,
        "whyNot": rehearsal.why_not,
        "plannerCost": str(rehearsal.planner_cost),
        "job": rehearsal.shipment.as_json() if rehearsal.shipment else None,
        **({"jobs": rehearsal.jobs, "costOfAll": str(rehearsal.cost_of_all)} if rehearsal.jobs else {}),
    }


def _line_json(line: Line) -> dict[str, Any]:
    return {
        "vendorId": line.vendor.vendor_id,
        "protocol": line.vendor.protocol,
        "amount": str(line.quote.amount) if line.quote else None,
        "payTo": line.vendor.pay_to,
        "refused": list(line.refusals),
        "needsApproval": line.needs_approval,
    }
