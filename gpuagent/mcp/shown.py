"""What an assistant is shown: chosen fields alone, money in two spellings, and texts of others marked as data.

A language model reads it, and may take any text for an instruction. So every text that a vendor, a planner or another
user wrote, or that may quote one of them, stands under `untrusted_text`, in one line and cut.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128

from gpuagent.agent.dry_run import DryRun, Line
from gpuagent.core.listings import VENDOR_ID
from gpuagent.core.model import Vendor
from gpuagent.core.money import UNIT, amount, usd
from gpuagent.core.months import BudgetShare
from gpuagent.core.policy import Halt
from gpuagent.core.records import JobLogLine
from gpuagent.core.run_files import RunFile
from gpuagent.core.text import clean

UNTRUSTED = "untrusted_text"
TEXT_MAX = 600
"""Characters of a text of others."""
LIST_MAX = 50
"""Entries of a list within an answer."""
Document = Mapping[str, Any]
Json = dict[str, Any]


def untrusted(text: object, limit: int = TEXT_MAX) -> Json:
    """A text of others as data. One that is cut says how long it was."""
    whole = str(text)
    if len(whole) <= limit:
        return {UNTRUSTED: clean(whole, limit)}
    return {UNTRUSTED: clean(whole[:limit], limit), "cut_from_characters": len(whole)}


def money(atomic: int | None) -> Json | None:
    """An amount as a text of USD, exact, and in atomic units."""
    if atomic is None:
        return None
    value = usd(atomic)
    return {"usd": f"{value:.2f}" if atomic % (UNIT // 100) == 0 else f"{value.normalize():f}", "atomic": atomic}


def stored_money(value: object) -> Json | None:
    """An amount of a document; None where it has none, or one of the original system, which is no proven money."""
    return money(amount(value)) if isinstance(value, Decimal128) else None


def time_of(value: object) -> str | None:
    """A time of a document, or Unix seconds, in ISO 8601."""
    if isinstance(value, int | float) and value:
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def vendor_id_of(value: object) -> str | None:
    """A vendor's id, which has no room for a sentence; None for another text."""
    return value if isinstance(value, str) and VENDOR_ID.fullmatch(value) else None


def run_shown(run: Document) -> Json:
    """A run's document."""
    return {
        "run_id": str(run["_id"]),
        "status": run.get("status"),
        "phase": run.get("phase"),
        "user_id": untrusted(run.get("userId", "")),
        "goal": untrusted(run.get("goal", "")),
        "tags": [untrusted(tag) for tag in run.get("tags", ())[:LIST_MAX]],
        "gpu_type": untrusted(run.get("gpuType", "")),
        "hours": run.get("maxHours"),
        "planner": untrusted(run.get("planner", "")),
        "budget": stored_money(run.get("budgetTotal")),
        "remaining": stored_money(run.get("budgetRemaining")),
        "settled": stored_money(run.get("settled")),
        "held": stored_money(run.get("held")),
        "planner_cost": stored_money(run.get("plannerCost")),
        "reason": untrusted(run.get("reason", "")),
        "wait_until": time_of(run.get("waitUntil")),
        "created_at": time_of(run.get("createdAt")),
        "updated_at": time_of(run.get("updatedAt")),
    }


def job_shown(job: Document) -> Json:
    """A job's document."""
    approval = job.get("approval")
    return {
        "job_id": str(job["_id"]),
        "vendor_id": vendor_id_of(job.get("vendorId", "")),
        "state": job.get("state"),
        "status": job.get("status"),
        "price": stored_money(job.get("expectedCost")),
        "paid": stored_money(job.get("actualCost")),
        "progress": job.get("progress"),
        "exit_code": job.get("exitCode"),
        "ending": job.get("ending"),
        "fault": job.get("fault"),
        "error": untrusted(job.get("errorMessage", "")),
        "last_reply": untrusted(job.get("reply", "")),
        "approval": {"asked_at": time_of(approval["askedAt"]), "expires_at": time_of(approval["expiresAt"])}
        if approval
        else None,
        "created_at": time_of(job.get("createdAt")),
        "settled_at": time_of(job.get("settledAt")),
        "completed_at": time_of(job.get("completedAt")),
    }


def decision_shown(observation: Document) -> Json:
    """A line of the list of decisions."""
    return {
        "decision_id": str(observation["_id"]),
        "at": time_of(observation.get("timestamp")),
        "reason": untrusted(observation.get("content", "")),
    }


def decision_explained(observation: Document) -> Json:
    """A decision with its candidates and the guard's verdicts. An older record may have only the reason."""
    data: Document = observation.get("data") or {}
    decision: Document = data.get("decision") or {}
    return {
        **decision_shown(observation),
        "action": decision.get("action"),
        "vendor_id": vendor_id_of(decision.get("vendorId", "")),
        "decided_by": untrusted(data.get("decidedBy", "")),
        "fallback": untrusted(data.get("fallback", "")),
        "cost": money(data.get("cost")),
        "latency_ms": data.get("latencyMs"),
        "candidates": [_candidate_shown(candidate) for candidate in data.get("candidates", ())[:LIST_MAX]],
        "verdicts": [untrusted(verdict) for verdict in data.get("verdicts", ())[:LIST_MAX]],
    }


def _candidate_shown(candidate: Document) -> Json:
    price = candidate.get("amount")
    return {
        "vendor_id": vendor_id_of(candidate.get("vendorId", "")),
        "quote": None if price is None else money(int(price)),
        "reliability": candidate.get("reliability"),
        "learned": candidate.get("learned"),
        "score": untrusted(candidate.get("score")),
        "problem": untrusted(candidate.get("problem", "")),
        "refused_because": [untrusted(refusal) for refusal in candidate.get("refusals", ())[:LIST_MAX]],
    }


def rehearsal_shown(rehearsal: DryRun) -> Json:
    """A dry run."""
    return {
        "would_pay": _line_shown(rehearsal.would_pay) if rehearsal.would_pay else None,
        "why_not": untrusted(rehearsal.why_not),
        "decision": {"action": rehearsal.decision.action.value, "reason": untrusted(rehearsal.decision.reason)},
        "vendors": [_line_shown(line) for line in rehearsal.lines[:LIST_MAX]],
        "planner_cost": money(rehearsal.planner_cost),
    }


def _line_shown(line: Line) -> Json:
    return {
        "vendor_id": vendor_id_of(line.vendor.vendor_id),
        "price": money(line.quote.amount) if line.quote else None,
        "refused_because": [untrusted(refusal) for refusal in line.refusals[:LIST_MAX]],
        "needs_approval": line.needs_approval,
    }


def file_shown(file: RunFile) -> Json:
    """A file that came back; its path is the vendor's word."""
    return {
        "path": untrusted(file.path),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "kind": file.kind,
        "vendor_id": vendor_id_of(file.vendor_id),
        "job_id": file.job_id,
        "collected_at": time_of(file.collected_at),
        "deleted_at": time_of(file.deleted_at),
    }


def line_shown(line: JobLogLine) -> Json:
    """A line of a job's log."""
    return {
        "line_id": line.id,
        "at": time_of(line.at),
        "job_id": line.job_id,
        "vendor_id": vendor_id_of(line.vendor_id),
        "text": untrusted(line.text),
    }


def vendor_shown(vendor: Vendor, halt: Halt | None) -> Json:
    """A vendor, without the name of the variable that holds its token. halt: what stops payments to it."""
    return {
        "vendor_id": vendor_id_of(vendor.vendor_id),
        "name": untrusted(vendor.name),
        "endpoint": untrusted(vendor.endpoint),
        "pay_to": vendor.pay_to,
        "network": vendor.network,
        "price_per_hour": money(vendor.base_price_per_hour),
        "reliability": vendor.reliability,
        "gpu_types": [untrusted(gpu) for gpu in vendor.gpu_types[:LIST_MAX]],
        "enabled": vendor.enabled,
        "halt": halt_shown(halt) if halt else None,
    }


def budget_shown(share: BudgetShare) -> Json:
    """A budget over a calendar month, with what is used of it."""
    return {
        "kind": share.budget.kind,
        "name": untrusted(share.budget.name),
        "month": share.month,
        "ends_at": time_of(share.ends_at),
        "budget": money(share.budget.amount),
        "settled": money(share.settled),
        "held": money(share.held),
        "share": round(share.share, 4),
        "per_day": money(share.per_day),
        "forecast": money(share.forecast),
    }


def halt_shown(halt: Halt) -> Json:
    """A kill switch that is thrown. Users end it, by no tool."""
    return {
        "kind": halt.kind,
        "name": untrusted(halt.name),
        "by": untrusted(halt.by),
        "why": untrusted(halt.why),
        "at": time_of(halt.at),
    }
