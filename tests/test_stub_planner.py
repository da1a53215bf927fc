"""The simplest correct planner: cheapest expected cost, remembers failures, waits for the silent, says why."""

from gpuagent.adapters.stub_planner import StubPlanner
from gpuagent.model import Action
from tests.samples import candidate, view

CHEAP, SURE = candidate("cheap", 1_400_000, 0.86), candidate("sure", 1_750_000, 0.93)


def test_cheapest_expected_cost_wins_and_says_so() -> None:
    decision = StubPlanner().decide(view(SURE, CHEAP))
    assert (decision.action, decision.vendor_id) == (Action.START_JOB, "cheap")
    assert "cheap at 1.40 USD, p=0.86" in decision.reason
    assert "runner-up sure at 1.75 USD, p=0.93" in decision.reason


def test_unreliable_is_dear() -> None:
    decision = StubPlanner().decide(view(candidate("liar", 1_000_000, 0.2), SURE))
    assert decision.vendor_id == "sure"


def test_a_failure_is_remembered() -> None:
    assert StubPlanner().decide(view(CHEAP, SURE, past=(("cheap", False),))).vendor_id == "sure"
    assert StubPlanner().decide(view(CHEAP, past=(("cheap", False),))).action is Action.START_JOB
    assert StubPlanner().decide(view(CHEAP, past=(("cheap", False),) * 2)).action is Action.ABORT


def test_what_is_not_affordable_is_not_chosen() -> None:
    assert StubPlanner().decide(view(CHEAP, SURE, available=1_399_999)).action is Action.ABORT
    assert StubPlanner().decide(view(CHEAP, SURE, available=1_400_000)).vendor_id == "cheap"


def test_silent_vendors_are_waited_for_with_growing_patience_then_given_up() -> None:
    silent = candidate("cheap", None)
    waits = [StubPlanner().decide(view(silent, waits=waits)) for waits in range(3)]
    assert [decision.wait_until - 1_000 for decision in waits] == [15, 60, 240]
    last = StubPlanner().decide(view(silent, waits=3))
    assert last.action is Action.ABORT
    assert "cheap gave no quote (cheap is down)" in last.reason


def test_nobody_offers_the_gpu() -> None:
    assert "no enabled vendor offers A100" in StubPlanner().decide(view()).reason


def test_ties_go_by_name_and_order_does_not_matter() -> None:
    twins = [candidate(name, 1_000_000) for name in ("b", "a")]
    assert StubPlanner().decide(view(*twins)) == StubPlanner().decide(view(*reversed(twins)))
    assert StubPlanner().decide(view(*twins)).vendor_id == "a"
