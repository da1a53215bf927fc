"""The rules value a run with several jobs as a whole: all jobs that its budget must still complete."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpuagent.adapters.planners.lookahead import DEPTH, SPENDING_WEIGHT, Offer
from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.adapters.planners.whole_run import NOTHING, Rest, applies, rest_of, worths
from gpuagent.core.context import Candidate, Context
from gpuagent.core.model import Action, Decision
from gpuagent.core.money import UNIT
from tests.support.factories import NOW, candidate, context

CHEAP, SURE = ("cheap", 4 * UNIT, 0.7), ("sure", 6 * UNIT, 0.95)
HOUR_S = 3600.0


def offer(vendor_id: str, amount: int, chance: float, failed_ago: float | None = None) -> Offer:
    return Offer(vendor_id, amount, amount, (chance,) * DEPTH, failed_ago)


def rest(missing: int, money: int, *, least: int = 4 * UNIT, **changes: object) -> Rest:
    """A run with one job at a time, as many rounds as tries, and the budget it has left."""
    default = Rest(missing, (), 1, missing + 7, None, money, least * (missing - 1), least, money)
    return replace(default, **changes)


def several(*candidates: Candidate, missing: int, money: int, opened: int = 0, **changes: object) -> Context:
    """A run's next decision, where the cheapest is kept for each other job that is to be bought."""
    reserve = min(c.amount or 0 for c in candidates) * (missing - opened - 1)
    market = context(*candidates, budget=money, available=money - reserve, reserve=reserve, at_once=opened + 1)
    return replace(market, jobs_missing=missing, jobs_open=opened, **changes)


def decide(market: Context) -> Decision:
    return StubPlanner().decide(market).decision


def course(
    chances: Sequence[tuple[int, float]], missing: int, left: int, money: int, least: int, weight: float
) -> float:
    """The best expected value from here on, of jobs begun one after the other."""
    if not missing or not left:
        return 0.0
    values = [0.0]
    for amount, chance in chances:
        if amount + (missing - 1) * least <= money:
            good = 1 + course(chances, missing - 1, left - 1, money - amount, least, weight)
            bad = course(chances, missing, left - 1, money - amount, least, weight)
            values.append(chance * good + (1 - chance) * bad - weight * amount)
    return max(values)


@pytest.mark.parametrize("missing", [1, 2, 3])
@pytest.mark.parametrize("money", [7, 12, 17, 23])
@pytest.mark.parametrize("rounds", [None, 3, 5])
def test_the_worth_is_that_of_the_best_course(missing: int, money: int, rounds: int | None) -> None:
    chances = ((2, 0.45), (3, 0.6), (5, 0.85))
    offers = [offer(f"v{amount}", amount, chance) for amount, chance in chances]
    left = rounds or 6
    run = rest(missing, money, least=2, tries=6, rounds=rounds)
    weight = SPENDING_WEIGHT * missing / money
    best = max(worth.value for worth in worths(offers, run))
    assert best == pytest.approx(course(chances, missing, left, money, 2, weight) / missing)


def test_the_jobs_of_a_round_have_one_try_each() -> None:
    """Two rounds for two jobs at once: each is tried once, and once more where it failed."""
    run = rest(2, 100, least=1, at_once=2, rounds=2)
    (worth,) = worths([offer("v", 1, 0.6)], run)
    assert worth.jobs == pytest.approx(2 * (1 - 0.4**2))
    assert worth.spent == pytest.approx(2 * (1 + 0.4))


def test_money_is_shared_by_all_jobs() -> None:
    """The money for one sure job, which is best for that one alone, would leave the others no second try."""
    cheap, sure = candidate("cheap", 4 * UNIT, 0.7), candidate("sure", 8 * UNIT, 0.99)
    market = several(cheap, sure, missing=3, money=16 * UNIT)
    alone = replace(market, jobs_missing=0, jobs_open=0, at_once=0, reserve=0)
    assert decide(alone).vendor_id == "sure"
    assert decide(market).vendor_id == "cheap"


def test_time_for_one_try_each_is_for_the_surest_that_all_can_have() -> None:
    cheap, sure = candidate(*CHEAP), candidate(*SURE)
    hurried = several(cheap, sure, missing=2, money=40 * UNIT, deadline=NOW + 2 * HOUR_S)
    assert decide(hurried).vendor_id == "sure"
    assert decide(replace(hurried, deadline=NOW + 9 * HOUR_S)).vendor_id == "cheap"


def test_open_jobs_count_by_their_chance_and_money_for_their_replacement_is_kept() -> None:
    """Two cheap jobs are affordable, or the sure one: where the open job is likely to fail, money is kept for it."""
    offers = [offer("cheap", 4, 0.5), offer("sure", 7, 0.9)]
    doomed, safe = (rest(2, 8, least=4, open_chances=(chance,), at_once=2, reserve=0) for chance in (0.0, 1.0))
    cheap, sure = worths(offers, doomed)
    assert (cheap.jobs, sure.jobs) == (pytest.approx(0.5 + 0.5 * 0.5), pytest.approx(0.9))
    cheap, sure = worths(offers, safe)
    assert (cheap.jobs, sure.jobs) == (pytest.approx(1 + 0.75), pytest.approx(1.9))
    assert doomed.share == 4
    assert safe.share == 8


def test_what_is_kept_for_the_others_is_not_spent() -> None:
    worth_cheap, worth_sure = worths([offer("cheap", 4, 0.5), offer("sure", 7, 0.9)], rest(2, 10, least=4))
    assert worth_cheap.value > 0
    assert worth_sure == NOTHING


def test_no_time_and_no_tries_are_worth_nothing() -> None:
    assert worths([offer(*CHEAP)], rest(2, 40 * UNIT, rounds=0)) == [NOTHING]
    assert worths([offer(*CHEAP)], rest(2, 40 * UNIT, tries=0)) == [NOTHING]


def test_a_vendor_that_just_failed_is_worth_more_later() -> None:
    run = rest(2, 40 * UNIT)
    (now,), (later,) = (worths([offer(*CHEAP, failed_ago=0.1)], run, waited) for waited in (0, 3))
    assert later.value > now.value


def test_it_says_what_it_counted_with() -> None:
    market = several(candidate(*CHEAP, open_jobs=1), candidate(*SURE), missing=3, money=13 * UNIT, opened=1)
    thought = StubPlanner().decide(market)
    assert thought.decision.reason == (
        "cheap: 61% likely at 4.00 USD; of 3 missing jobs, 1 of them open, 2.00 are expected to complete with the "
        "13.00 USD left, 5.43 USD for each to be bought or likely to be replaced; next best sure: 80% likely at "
        "6.00 USD, then 1.79 jobs"
    )
    assert thought.record["rest"] == {
        "missing": 3,
        "open": 1,
        "openExpected": pytest.approx(0.608, abs=0.001),
        "money": 13 * UNIT,
        "share": pytest.approx(5.44 * UNIT, rel=0.01),
        "reserve": 4 * UNIT,
        "tries": 9,
        "rounds": None,
        "planned": 3,
    }
    scores = thought.record["scores"]
    assert isinstance(scores, dict)
    assert scores["sure"]["jobs"] == pytest.approx(1.79, abs=0.01)
    assert StubPlanner().decide(Context.from_json(market.as_json())) == thought


def test_a_last_job_and_a_hedge_are_decided_as_one_job() -> None:
    market = several(candidate(*CHEAP), candidate(*SURE), missing=2, money=16 * UNIT)
    assert applies(market)
    assert not applies(replace(market, hedged_vendor="late"))
    last = several(candidate(*CHEAP), candidate(*SURE), missing=1, money=16 * UNIT)
    alone = replace(last, jobs_missing=0, jobs_open=0, at_once=0)
    assert StubPlanner().decide(last) == StubPlanner().decide(alone)


def test_jobs_that_hedge_others_leave_one_to_be_bought() -> None:
    market = several(candidate(*CHEAP, open_jobs=2), candidate(*SURE), missing=2, money=16 * UNIT, opened=1)
    assert rest_of(market).unbought == 1
    assert decide(market).action is Action.START_JOB


def test_a_run_that_misses_many_is_planned_for_a_part_with_its_share() -> None:
    market = several(candidate(*CHEAP), candidate(*SURE), missing=100, money=550 * UNIT, opened=40)
    run = rest_of(market)
    assert run.figures["planned"] == 8
    thought = StubPlanner().decide(market)
    scores = thought.record["scores"]
    assert isinstance(scores, dict)
    assert 50 < scores[thought.decision.vendor_id]["jobs"] <= 100


def test_the_worst_call_of_a_large_run_is_quick() -> None:
    """Twelve vendors with prices of which no two plans have the same sum, and more jobs than are planned together."""
    vendors = [candidate(f"v{n}", 10_000 + 137 * n * n, 0.5 + 0.03 * n) for n in range(12)]
    started_at = time.process_time()
    decide(several(*vendors, missing=200, money=2_600_000))
    assert time.process_time() - started_at < 3
