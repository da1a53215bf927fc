"""A deterministic planner: the cheapest expected cost per success, with this run's failures remembered."""

from collections.abc import Sequence
from decimal import Decimal

from gpuagent.model import Action, Decision, Quote
from gpuagent.money import show_usd
from gpuagent.ports import Candidate, View

PRIOR_WEIGHT = 2
"""A vendor's advertised reliability counts as much as this many observed jobs."""
FAILURES_MAX = 2
"""A vendor that failed so often in this run is not tried again."""
WAITS_S = (15, 60, 240)
"""How long to wait for vendors that do not quote, before giving up."""


class StubPlanner:
    def decide(self, view: View) -> Decision:
        """Start at the lowest price / p among affordable quotes; wait for silent vendors a while; else abort."""
        quoted = [c for c in view.candidates if c.quote and not c.refusals and _failures(view, c) < FAILURES_MAX]
        ranked = sorted((_expected_cost(view, c), c.vendor.vendor_id, c) for c in quoted if _affordable(view, c))
        if ranked:
            return _start(view, [candidate for *_, candidate in ranked])
        later = [c for c in view.candidates if _may_sell_later(c) and _failures(view, c) < FAILURES_MAX]
        if later and view.waits < len(WAITS_S):
            problems = "; ".join(_why_not(view, c) for c in later)
            return Decision(
                Action.WAIT,
                f"nobody can be paid now; waiting {WAITS_S[view.waits]} s ({problems})",
                wait_until=view.now + WAITS_S[view.waits],
            )
        return Decision(Action.ABORT, _why_nobody(view))


def _start(view: View, ranked: Sequence[Candidate]) -> Decision:
    reason = f"{_sentence(view, ranked[0])}: the lowest expected cost per success"
    if len(ranked) > 1:
        reason += f"; runner-up {_sentence(view, ranked[1])}"
    return Decision(Action.START_JOB, reason, ranked[0].vendor.vendor_id, view.max_hours)


def _sentence(view: View, candidate: Candidate) -> str:
    chance = _chance(view, candidate)
    return f"{candidate.vendor.vendor_id} at {show_usd(_quote(candidate).amount)}, p={chance:.2f}"


def _chance(view: View, candidate: Candidate) -> Decimal:
    """Posterior mean of Beta(w r, w (1 - r)) after this run's outcomes of the vendor."""
    outcomes = [succeeded for vendor_id, succeeded in view.past if vendor_id == candidate.vendor.vendor_id]
    advertised = Decimal(str(candidate.vendor.reliability))
    return (PRIOR_WEIGHT * advertised + sum(outcomes)) / (PRIOR_WEIGHT + len(outcomes))


def _expected_cost(view: View, candidate: Candidate) -> Decimal:
    return _quote(candidate).amount / max(_chance(view, candidate), Decimal("0.001"))


def _failures(view: View, candidate: Candidate) -> int:
    return sum(1 for past in view.past if past == (candidate.vendor.vendor_id, False))


def _affordable(view: View, candidate: Candidate) -> bool:
    return _quote(candidate).amount <= view.available and _quote(candidate).expires_at > view.now


def _may_sell_later(candidate: Candidate) -> bool:
    """Silent, or held up only by caps that time or another run's release may lift."""
    return candidate.quote is None or (bool(candidate.refusals) and all(one.passing for one in candidate.refusals))


def _quote(candidate: Candidate) -> Quote:
    assert candidate.quote is not None
    return candidate.quote


def _why_nobody(view: View) -> str:
    if not view.candidates:
        return f"no enabled vendor offers {view.gpu_type}"
    return f"nobody can do it with {show_usd(view.available)}: " + "; ".join(_why_not(view, c) for c in view.candidates)


def _why_not(view: View, candidate: Candidate) -> str:
    name = candidate.vendor.vendor_id
    if _failures(view, candidate) >= FAILURES_MAX:
        return f"{name} failed {_failures(view, candidate)} times"
    if candidate.quote is None:
        return f"{name} gave no quote ({candidate.problem})"
    if candidate.quote.expires_at <= view.now:
        return f"the quote of {name} has expired"
    if candidate.refusals:
        return f"{name}: {'; '.join(one.words for one in candidate.refusals)}"
    return f"{name} asks {show_usd(candidate.quote.amount)}"
