"""Replay of recorded decisions with another planner, and measurement of A/B runs, on hand-made documents."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench.ab import arms_json, measure_arms
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.replay import replay, replay_json, replay_table, summary
from gpuagent.planbench.statistics import wilson
from tests.support.scenarios import StepPlanner, market

CONTEXT = market().context(0, 10_000_000, 0, ())


def observation(recorded: Context, action: str, vendor_id: str, **changes: Any) -> dict[str, Any]:
    """A decision's observation as the agent stores it; test_parity.py replays really stored ones."""
    decision = {"action": action, "vendorId": vendor_id, "maxHours": "2", "waitUntil": 0, "reason": "because"}
    data = {"contextHash": recorded.digest(), "context": recorded.as_json(), "decidedBy": "stub", "decision": decision}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return {"type": "agent_reasoning", "content": "because", "timestamp": at, "data": {**data, **changes}}


def client_of(planner: StepPlanner) -> PlannerClient:
    return PlannerClient(planner)


def test_agreement_and_difference_with_both_reasons() -> None:
    poorer = market().context(1, 6_000_000, 0, ())
    observations = [
        {"type": "job_log", "content": "noise", "data": {}},
        observation(CONTEXT, "start_job", "v1"),
        observation(poorer, "abort", ""),
    ]
    planner = StepPlanner("v1", "v2")
    decisions = replay(observations, client_of(planner))
    assert [decision.agrees for decision in decisions] == [True, False]
    assert planner.contexts == [CONTEXT, poorer]
    assert summary(decisions) == {"agree": 1, "differ": 1, "unanswered": 0}
    document = replay_json(decisions)["decisions"][1]
    assert document["recorded"] == {"action": "abort", "vendorId": "", "reason": "because"}
    assert document["other"] == {"action": "start_job", "vendorId": "v2", "reason": "as the script says"}
    assert replay_table(decisions, "scripted").row_count == 2


def test_the_problem_is_the_objection_of_the_guard() -> None:
    (decision,) = replay([observation(CONTEXT, "start_job", "v1")], client_of(StepPlanner("nobody")))
    assert not decision.agrees
    assert "'nobody' is not among" in decision.problem


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"contextHash": "0" * 64}, "not the one its hash"), ({"context": {"goal": "x"}}, "not a recorded context")],
)
def test_a_context_that_was_tampered_with_is_not_asked_about(changes: dict[str, Any], problem: str) -> None:
    planner = StepPlanner("v1")
    (decision,) = replay([observation(CONTEXT, "start_job", "v1", **changes)], client_of(planner))
    assert decision.alternative is None
    assert problem in decision.problem
    assert planner.contexts == []


def test_a_crash_is_the_problem() -> None:
    (decision,) = replay([observation(CONTEXT, "start_job", "v1")], client_of(StepPlanner(ZeroDivisionError("oops"))))
    assert (decision.alternative, decision.problem) == (None, "crashed: ZeroDivisionError: oops")


def test_nothing_to_replay() -> None:
    with pytest.raises(BadInput, match="nothing to replay"):
        replay([{"type": "job_log", "content": "noise", "data": {}}], client_of(StepPlanner("v1")))


def run(planner: str, status: str, settled: int, **changes: Any) -> dict[str, Any]:
    arms = [{"planner": "stub", "weight": 1}, {"planner": "llm", "weight": 3}]
    document = {"planner": planner, "plannerArms": arms, "status": status, "tags": ["trial"], "plannerCost": "100"}
    return {**document, "settled": str(settled), "budgetTotal": "4000000", **changes}


def test_arms_by_hand() -> None:
    runs = [
        run("stub", "completed", 2_000_000),
        run("stub", "failed", 4_000_000),
        run("stub", "running", 1_000_000),
        run("llm", "completed", 1_000_000),
        run("llm", "completed", 1_000_000, tags=[]),
        run("stub", "completed", 9, plannerArms=[]),
    ]
    llm, stub = measure_arms(runs)
    assert (stub.planner, stub.runs, stub.ended) == ("stub", 3, 2)
    assert stub.complete == wilson(1, 2)
    assert stub.spend is not None
    assert (stub.spend.mean, stub.spend.low, stub.spend.high) == (3_000_000, 2_000_000, 4_000_000)
    assert stub.share is not None
    assert stub.share.mean == 0.75
    assert llm.complete == wilson(2, 2)
    assert [arm.runs for arm in measure_arms(runs, "trial")] == [1, 3]
    assert arms_json([llm])["arms"][0]["plannerCost"]["mean"] == 100
    assert measure_arms([run("stub", "completed", 1, plannerArms=None)]) == []


def test_an_arm_without_an_ended_run() -> None:
    llm, stub = measure_arms([run("stub", "running", 0)])
    assert (llm.runs, llm.complete, stub.runs, stub.complete) == (0, None, 1, None)
