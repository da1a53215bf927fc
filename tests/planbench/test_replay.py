"""Recorded decisions asked again of another planner, and the reading of A/B runs, by hand-made documents."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench.ab import arms
from gpuagent.planbench.ab import as_json as arms_json
from gpuagent.planbench.answers import Asker, Memory, Purse
from gpuagent.planbench.replay import as_json, replay, replay_table, summary
from gpuagent.planbench.statistics import wilson
from tests.support.scenarios import Scripted, market

CONTEXT = market().seen(0, 10_000_000, 0, ())


def observed(seen: Context, action: str, vendor_id: str, **changes: Any) -> dict[str, Any]:
    """As deliberation stores it; tests/planbench/test_parity.py replays what it really stored."""
    decision = {"action": action, "vendorId": vendor_id, "maxHours": "2", "waitUntil": 0, "reason": "because"}
    data = {"contextHash": seen.digest(), "context": seen.as_json(), "decidedBy": "stub", "decision": decision}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return {"type": "agent_reasoning", "content": "because", "timestamp": at, "data": {**data, **changes}}


def asker(planner: Scripted) -> Asker:
    return Asker(planner, Memory(), Purse())


def test_agreement_and_difference_with_both_reasons() -> None:
    poorer = market().seen(1, 6_000_000, 0, ())
    observations = [
        {"type": "job_log", "content": "noise", "data": {}},
        observed(CONTEXT, "start_job", "v1"),
        observed(poorer, "abort", ""),
    ]
    other = Scripted("v1", "v2")
    found = replay(observations, asker(other))
    assert [one.agrees for one in found] == [True, False]
    assert other.seen == [CONTEXT, poorer]
    assert summary(found) == {"agree": 1, "differ": 1, "unanswered": 0}
    told = as_json(found)["decisions"][1]
    assert told["recorded"] == {"action": "abort", "vendorId": "", "reason": "because"}
    assert told["other"] == {"action": "start_job", "vendorId": "v2", "reason": "as the script says"}
    assert replay_table(found, "scripted").row_count == 2


def test_what_the_guard_would_refuse_is_said() -> None:
    (found,) = replay([observed(CONTEXT, "start_job", "v1")], asker(Scripted("nobody")))
    assert not found.agrees
    assert "'nobody' is not among" in found.problem


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"contextHash": "0" * 64}, "not the one its hash"), ({"context": {"goal": "x"}}, "not a recorded context")],
)
def test_a_context_that_was_tampered_with_is_not_asked_about(changes: dict[str, Any], words: str) -> None:
    other = Scripted("v1")
    (found,) = replay([observed(CONTEXT, "start_job", "v1", **changes)], asker(other))
    assert found.other is None
    assert words in found.problem
    assert other.seen == []


def test_a_crash_is_told() -> None:
    (found,) = replay([observed(CONTEXT, "start_job", "v1")], asker(Scripted(ZeroDivisionError("oops"))))
    assert (found.other, found.problem) == (None, "crashed: ZeroDivisionError: oops")


def test_nothing_to_replay() -> None:
    with pytest.raises(BadInput, match="nothing to replay"):
        replay([{"type": "job_log", "content": "noise", "data": {}}], asker(Scripted("v1")))


def run(planner: str, status: str, settled: int, **changes: Any) -> dict[str, Any]:
    arms_ = [{"planner": "stub", "weight": 1}, {"planner": "llm", "weight": 3}]
    made = {"planner": planner, "plannerArms": arms_, "status": status, "tags": ["trial"], "plannerCost": "100"}
    return {**made, "settled": str(settled), "budgetTotal": "4000000", **changes}


def test_arms_by_hand() -> None:
    runs = [
        run("stub", "completed", 2_000_000),
        run("stub", "failed", 4_000_000),
        run("stub", "running", 1_000_000),
        run("llm", "completed", 1_000_000),
        run("llm", "completed", 1_000_000, tags=[]),
        run("stub", "completed", 9, plannerArms=[]),
    ]
    llm, stub = arms(runs)
    assert (stub.planner, stub.runs, stub.ended) == ("stub", 3, 2)
    assert stub.complete == wilson(1, 2)
    assert stub.spend is not None
    assert (stub.spend.mean, stub.spend.low, stub.spend.high) == (3_000_000, 2_000_000, 4_000_000)
    assert stub.share is not None
    assert stub.share.mean == 0.75
    assert llm.complete == wilson(2, 2)
    assert [arm.runs for arm in arms(runs, "trial")] == [1, 3]
    assert arms_json([llm])["arms"][0]["plannerCost"]["mean"] == 100
    assert arms([run("stub", "completed", 1, plannerArms=None)]) == []


def test_an_arm_without_an_ended_run() -> None:
    llm, stub = arms([run("stub", "running", 0)])
    assert (llm.runs, llm.complete, stub.runs, stub.complete) == (0, None, 1, None)
