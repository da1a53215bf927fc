"""The stub chooses by the value of the whole plan, learns from past jobs, waits where that pays, and says why."""

import time
from dataclasses import replace

import pytest

from gpuagent.adapters.planners.stub import WAITS_MAX, StubPlanner, look_ahead
from gpuagent.core.context import Context
from gpuagent.core.model import Action, Decision
from tests.support.factories import NOW, candidate, context, history, past_job

CHEAP, SURE = candidate("cheap", 1_400_000, 0.86), candidate("sure", 1_750_000, 0.93)


def decide(market: Context) -> Decision:
    return StubPlanner().decide(market).decision


def test_it_says_what_it_compared() -> None:
    thought = StubPlanner().decide(context(SURE, CHEAP))
    assert (thought.decision.action, thought.decision.vendor_id) == (Action.START_JOB, "cheap")
    assert thought.decision.reason == (
        "cheap: 73% likely at 1.40 USD, the cheapest there is; 3.60 USD are left for two more tries; together 97%; "
        "next best sure: 78% likely at 1.75 USD"
    )
    scores = thought.record["scores"]
    assert isinstance(scores, dict)
    assert set(scores) == {"cheap", "sure"}
    assert scores["cheap"]["value"] == pytest.approx(thought.record["valueNow"])
    assert thought.cost == 0


def test_unreliable_is_dear() -> None:
    assert decide(context(candidate("liar", 1_000_000, 0.2), SURE)).vendor_id == "sure"


def test_one_try_is_for_the_surest_and_several_for_the_cheapest() -> None:
    """With money for one try, completion counts; with money for all, the cheaper one goes first."""
    assert decide(context(CHEAP, SURE, available=1_800_000)).vendor_id == "sure"
    assert decide(context(CHEAP, SURE, available=5_000_000)).vendor_id == "cheap"


@pytest.mark.parametrize("jobs_ago", [0.0001, 0.5, 1])
def test_after_a_failure_another_vendor_is_tried_at_once(jobs_ago: float) -> None:
    dear = candidate("dear", 2_520_000, 0.97)
    failed = past_job("cheap", False, jobs_ago, in_run=True)
    market = context(CHEAP, SURE, dear, available=3_600_000, decisions_left=7, past=(failed,))
    assert (decide(market).action, decide(market).vendor_id) == (Action.START_JOB, "sure")


def test_a_lone_vendor_that_just_failed_is_given_time_to_recover_and_tried_again() -> None:
    market = context(CHEAP, available=3_600_000, past=(past_job("cheap", False, 0.01),))
    waiting = decide(market)
    assert (waiting.action, waiting.wait_until) == (Action.WAIT, NOW + 3600)
    assert waiting.reason.startswith("waiting 3600 s: the best plan has a value of 0.59 after 4 job lengths, of 0.42 ")
    later = context(CHEAP, available=3_600_000, waits=4, past=(past_job("cheap", False, 4.01),))
    assert decide(later).vendor_id == "cheap"
    assert decide(replace(market, waits=WAITS_MAX)).vendor_id == "cheap"
    assert decide(replace(market, deadline=NOW + 3600)).vendor_id == "cheap"


def test_an_unusual_price_is_waited_out() -> None:
    spiked, usual = candidate("cheap", 4_000_000, 0.9), history("cheap", "1" * 6)
    assert decide(context(spiked, past=usual)).action is Action.WAIT
    assert decide(context(spiked)).action is Action.START_JOB
    assert decide(context(spiked, available=1_500_000, past=usual)).action is Action.WAIT  # not even affordable now
    assert decide(context(spiked, decisions_left=1, past=usual)).action is Action.START_JOB


def test_a_vendor_that_begins_to_fail_is_left_and_one_that_recovers_is_tried_again() -> None:
    good = history("cheap", "1" * 20)
    assert decide(context(CHEAP, SURE, past=good)).vendor_id == "cheap"
    chosen = [decide(context(CHEAP, SURE, past=history("cheap", "1" * 20 + "0" * n))).vendor_id for n in range(8)]
    left_after = chosen.index("sure")
    assert 0 < left_after <= 4
    assert set(chosen[left_after:]) == {"sure"}
    failing = "1" * 20 + "0" * 6
    chosen = [decide(context(CHEAP, SURE, past=history("cheap", failing + "1" * n))).vendor_id for n in range(12)]
    back_after = chosen.index("cheap")
    assert 0 < back_after <= 8
    assert set(chosen[back_after:]) == {"cheap"}


def test_what_is_not_affordable_is_not_chosen() -> None:
    assert decide(context(CHEAP, SURE, available=1_399_999)).action is Action.ABORT
    assert decide(context(CHEAP, SURE, available=1_400_000)).vendor_id == "cheap"


def test_silent_vendors_are_waited_for_with_growing_patience_then_given_up() -> None:
    silent = candidate("cheap", None)
    waits = [decide(context(silent, waits=waits)) for waits in range(3)]
    assert [decision.wait_until - NOW for decision in waits] == [15, 60, 240]
    last = decide(context(silent, waits=3))
    assert last.action is Action.ABORT
    assert "cheap gave no quote (cheap is down)" in last.reason


def test_what_the_policy_forbids_is_waited_for_only_where_it_may_pass() -> None:
    capped = replace(CHEAP, refusals=("the cap is used",), transient=True)
    assert decide(context(capped)).action is Action.WAIT
    assert decide(context(capped, SURE)).vendor_id == "sure"
    assert decide(context(replace(capped, transient=False))).action is Action.ABORT


def test_every_vendor_that_cannot_do_it_is_named() -> None:
    late = replace(candidate("late", 1), expires_at=NOW)
    halted = replace(CHEAP, refusals=("Ada halted it",))
    reason = decide(context(halted, SURE, late, available=1_000_000)).reason
    assert reason.startswith("no vendor can do it with 1.00 USD: ")
    assert all(
        problem in reason
        for problem in ("cheap asks 1.40 USD (Ada halted it)", "sure asks 1.75 USD", "the quote of late has expired")
    )
    assert "no enabled vendor offers A100" in decide(context()).reason


def test_ties_go_by_name_and_order_does_not_matter() -> None:
    twins = [candidate(name, 1_000_000) for name in ("b", "a")]
    assert decide(context(*twins)) == decide(context(*reversed(twins)))
    assert decide(context(*twins)).vendor_id == "a"


def test_the_worst_call_is_quick() -> None:
    """Twelve vendors, two hundred past jobs each, all failed or dear of late, and money for every plan."""
    vendors = [candidate(f"v{n}", 10_000 + n, None) for n in range(12)]
    past = tuple(job for vendor in vendors for job in history(vendor.vendor_id, "10" * 100, amount=5_000))
    market = context(*vendors, past=past)
    durations = []
    for _ in range(3):
        started_at = time.process_time()
        decide(market)
        durations.append(time.process_time() - started_at)
    assert min(durations) < 0.3


@pytest.mark.parametrize(
    ("available", "phrase"),
    [
        (1_400_000, "cheap: 73% likely at 1.40 USD, the cheapest there is; 0.00 USD are left, for no further try"),
        (2_800_000, "1.40 USD are left for one more try; together"),
        (50_000_000, "48.60 USD are left for seven more tries; together over 99%"),
    ],
)
def test_a_choice_is_told_with_what_is_left_and_for_what(available: int, phrase: str) -> None:
    market = context(CHEAP, SURE, budget=50_000_000, available=available, decisions_left=20)
    assert phrase in decide(market).reason


def test_the_chance_told_is_that_of_the_whole_plan() -> None:
    """With one vendor and two tries: 1 - (1 - first) (1 - second), of the chances that the plan counts with."""
    lone = candidate("lone", 1_000_000, 0.9)
    offer = look_ahead(context(lone, available=2_000_000, decisions_left=2)).offers[0]
    together = 1 - (1 - offer.chances[0]) * (1 - offer.chances[1])
    reason = decide(context(lone, available=2_000_000, decisions_left=2)).reason
    assert reason.endswith(f"together {round(100 * together)}%")
