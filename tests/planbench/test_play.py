"""Playing a market: expectations along the all-fail path, drawn outcomes, refunds, waits, and what is invalid."""

from decimal import Decimal

import pytest

from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.bounds import OptimalPlanner
from gpuagent.planbench.play import LAMBDA, play_exact, play_posterior, play_sampled
from gpuagent.planbench.scenarios import bundled_folder, load
from tests.support.scenarios import PUBLIC, StepPlanner, market


def test_exact_play_by_hand() -> None:
    """v1 at 4 of 10 USD with p=0.6, then v2 at 2 USD, half of it refunded, with p=0.4 at tick 1."""
    planner = StepPlanner("v1", "v2", "abort")
    play = play_exact(market(), "scripted", planner)
    assert play.complete == pytest.approx(0.6 + 0.4 * 0.4)
    assert play.spend == pytest.approx((4 + 0.4 * (0.4 * 2 + 0.6 * 1)) / 10)
    assert play.utility == pytest.approx(play.complete - LAMBDA * play.spend)
    assert [move.survival for move in play.moves] == pytest.approx([1, 0.4, 0.4 * 0.6])
    assert [context.available for context in planner.contexts] == [10_000_000, 6_000_000, 5_000_000]
    failed = planner.contexts[-1].past[-1]
    assert (failed.vendor_id, failed.in_run, failed.amount, failed.paid) == ("v2", True, 2_000_000, 1_000_000)


def test_sampled_play_by_attempt() -> None:
    first, second = (play_sampled(market(), "scripted", StepPlanner("v2"), replicate) for replicate in (0, 1))
    assert (first.complete, second.complete) == (0, 1)
    assert second.spend == pytest.approx((1 + 2) / 10)
    assert len(first.moves) == 4  # the deadline


def test_sampled_play_by_tick() -> None:
    outcomes = {"v1": ["0010"], "v2": ["0000"], "v3": ["0000"]}
    play = play_sampled(
        market(truth__index="tick", truth__outcomes=outcomes), "scripted", StepPlanner("wait", "wait", "v1"), 0
    )
    assert (play.complete, play.spend) == (1, pytest.approx(0.4))


def test_the_posterior_counts_failures_of_the_run() -> None:
    scenario = market(truth__posterior={"v1": [0.5, 0.25], "v2": [0.1]})
    play = play_posterior(scenario, "scripted", StepPlanner("v1", "v1", "v2", "abort"))
    assert play.complete == pytest.approx(1 - 0.5 * 0.75 * 0.9)


def test_waiting_costs_a_tick() -> None:
    planner = StepPlanner("wait", "wait", "v1", "abort")
    play = play_exact(market(), "scripted", planner)
    assert [context.waits for context in planner.contexts] == [0, 1, 2, 0]
    assert [context.decisions_left for context in planner.contexts] == [4, 3, 2, 1]
    assert play.complete == pytest.approx(0.6)


def test_too_few_hours_are_paid_for_and_never_finish() -> None:
    play = play_exact(market(), "scripted", StepPlanner("v1", "abort", hours=Decimal(1)))
    assert (play.complete, play.spend, play.invalid) == (0, pytest.approx(0.2), 0)


@pytest.mark.parametrize(
    ("step", "hours", "fault"),
    [
        ("v3", None, "'v3' is not among"),
        ("nobody", None, "'nobody' is not among"),
        ("v1", Decimal(100), "asks"),
        ("v1", Decimal(-1), "cannot be bought"),
        ("v1", Decimal("NaN"), "cannot be bought"),
    ],
)
def test_an_invalid_decision_is_lost(step: str, hours: Decimal | None, fault: str) -> None:
    play = play_exact(market(), "scripted", StepPlanner(step, hours=hours))
    assert (play.complete, play.spend, play.invalid, len(play.moves)) == (0, 0, 4, 4)
    assert fault in play.moves[0].fault


def test_what_the_budget_cannot_pay_is_invalid() -> None:
    play = play_exact(market(run__budgetTotal=6), "scripted", StepPlanner("v1"))
    assert (play.invalid, play.complete) == (3, pytest.approx(0.6))


def test_five_invalid_decisions_end_the_run() -> None:
    play = play_exact(
        market(run__deadlineTicks=9, truth__pSuccess={"v1": 1, "v2": 1, "v3": 1}), "s", StepPlanner("nobody")
    )
    assert (play.invalid, len(play.moves)) == (5, 5)


def test_a_refund_of_the_tick_counts() -> None:
    refunding = market(truth__refund={"v1": [1, 0, 0, 0]})
    assert play_exact(refunding, "scripted", StepPlanner("v1", "abort")).spend == pytest.approx(0.6 * 4 / 10)


def test_the_bound_by_hand() -> None:
    """One vendor, p=0.5 known, budget for two tries of 4 USD: 1 - 0.25, spend 4 + 0.5 * 4."""
    scenario = market(run__budgetTotal=8.5, truth__pSuccess={"v1": 0.5, "v2": 0, "v3": 1})
    play = play_exact(
        scenario, "best", PlannerClient(OptimalPlanner(scenario, lambda vendor, _, tick: scenario.chance(vendor, tick)))
    )
    assert (play.complete, play.spend) == (pytest.approx(0.75), pytest.approx(6 / 8.5))


def test_the_bounds_of_published_files_are_reproduced() -> None:
    """The walk and the recursion agree with independently computed bounds, to the last digit of the files."""
    checked = 0
    for scenario, *_ in load(PUBLIC if PUBLIC.is_dir() else bundled_folder()):
        if not scenario.truth.posterior or scenario.truth.price:
            continue
        optimal = PlannerClient(OptimalPlanner(scenario, scenario.posterior))
        prior, after, bound = (
            play_exact(scenario, "b", optimal),
            play_posterior(scenario, "b", optimal),
            scenario.bounds["bayes"],
        )
        assert (prior.complete, after.complete) == (
            pytest.approx(bound.complete, abs=2e-5),
            pytest.approx(bound.complete_post, abs=2e-5),
        )
        assert prior.spend * scenario.budget / 1e6 == pytest.approx(bound.spend, abs=2e-4)
        checked += 1
    assert checked >= 10
