"""The decision record: the planner's context, its answers, and the guard's verdicts on them. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpuagent.core.context import Candidate, Context, digest_of
from gpuagent.core.model import Decision, Quote
from gpuagent.errors import PlannerError, Refused

TEXT_MAX = 100_000
"""Longer texts of a planner's record are cut: a document has room for 16 MB."""
INT_MAX = 2**63 - 1
OWN = ("model", "promptHash", "prompt", "rawReply", "tokens")
"""The fields that a planner may put into Thought.record, beside scores: a mapping by vendor_id."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One planner asked once. problem: why its answer does not count, None where it does. cost: atomic units."""

    planner: str
    decision: Decision | None
    quote: Quote | None
    problem: Refused | PlannerError | None
    cost: int
    latency_s: float
    record: Mapping[str, object] = field(default_factory=dict)


def record(planner: str, context: Context, attempts: Sequence[Attempt]) -> Mapping[str, object]:
    """The decision record, as it is stored: camelCase, plain JSON values, amounts in atomic units.

    planner: the run's own; the OWN fields are of its last attempt. attempts: at least one, the last decided.
    """
    last = attempts[-1]
    own = [attempt.record for attempt in attempts if attempt.planner == planner]
    own_record = own[-1] if own else {}
    scores = last.record.get("scores")
    scores = scores if isinstance(scores, Mapping) else {}
    document = context.as_json()
    failed = [attempt for attempt in attempts[:-1] if attempt.planner != last.planner]
    return {
        "contextHash": digest_of(document),
        "context": document,
        "planner": planner,
        **{key: _plain(own_record.get(key)) for key in OWN},
        "decision": _decision(last.decision),
        "decidedBy": last.planner,
        "fallback": str(failed[-1].problem) if failed else "",
        "candidates": [_candidate(candidate, scores.get(candidate.vendor_id)) for candidate in context.candidates],
        "verdicts": [_verdict(attempt) for attempt in attempts],
        "attempts": [_attempt(attempt) for attempt in attempts],
        "latencyMs": round(sum(attempt.latency_s for attempt in attempts) * 1000),
        "cost": sum(attempt.cost for attempt in attempts),
    }


def _candidate(candidate: Candidate, score: object) -> Mapping[str, object]:
    return {
        "vendorId": candidate.vendor_id,
        "amount": candidate.amount,
        "reliability": candidate.reliability,
        "learned": candidate.learned.mean,
        "problem": candidate.problem,
        "refusals": list(candidate.refusals),
        "score": _plain(score),
    }


def _attempt(attempt: Attempt) -> Mapping[str, object]:
    return {
        **{key: _plain(value) for key, value in attempt.record.items()},
        "planner": attempt.planner,
        "decision": _decision(attempt.decision),
        "verdict": _verdict(attempt),
        "latencyMs": round(attempt.latency_s * 1000),
        "cost": attempt.cost,
    }


def _decision(decision: Decision | None) -> Mapping[str, object] | None:
    if decision is None:
        return None
    return {
        "action": decision.action.value,
        "vendorId": decision.vendor_id,
        "maxHours": str(decision.max_hours),
        "waitUntil": decision.wait_until,
        "reason": decision.reason,
    }


def _verdict(attempt: Attempt) -> str:
    if attempt.problem is None:
        return "accepted"
    return f"{'refused' if isinstance(attempt.problem, Refused) else 'no answer'}: {attempt.problem}"


def _plain(value: object) -> object:
    """As JSON has it, with long texts cut."""
    match value:
        case None | bool():
            return value
        case str():
            return value[:TEXT_MAX]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case int() if abs(value) > INT_MAX:
            return str(value)[:TEXT_MAX]
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() | int() if type(value) in (int, float):  # not one of a library of numbers
            return value
    return json.loads(json.dumps(value, default=str))
