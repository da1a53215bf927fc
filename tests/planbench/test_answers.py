"""Planner clients: each context is asked about once, across interruptions; spending limits; the guard."""

import json
from pathlib import Path

import pytest

from gpuagent.core.context import Context, Thought
from gpuagent.errors import BadInput, ConfigError, PlannerError
from gpuagent.planbench.answer_cache import AnswerCache
from gpuagent.planbench.answers import PlannerClient, SpendLimit, cache_for
from gpuagent.planbench.compare import compare, estimate
from tests.support.scenarios import PricedPlanner, StepPlanner, market, similar_scenarios


def client_of(planner: PricedPlanner, folder: Path, limit: int | None = None) -> PlannerClient:
    return PlannerClient(planner, cache_for(planner, folder), SpendLimit(limit))


def test_interrupted_and_started_again_it_repeats_no_call(tmp_path: Path) -> None:
    scenarios, first = similar_scenarios(), PricedPlanner(interrupted_at=4)
    with pytest.raises(KeyboardInterrupt):
        compare(scenarios, [client_of(first, tmp_path)], "exact")
    assert len(first.digests) == 4
    second = PricedPlanner()
    resumed = compare(scenarios, [client_of(second, tmp_path)], "exact")
    assert second.digests
    assert set(first.digests).isdisjoint(second.digests)
    assert len(set(second.digests)) == len(second.digests)
    untroubled = PricedPlanner()
    whole = compare(scenarios, [client_of(untroubled, tmp_path / "other")], "exact")
    assert sorted(untroubled.digests) == sorted(first.digests + second.digests)
    assert [play.utility for play in whole.plays] == [play.utility for play in resumed.plays]
    third = PricedPlanner()
    compare(scenarios, [client_of(third, tmp_path)], "sampled")  # replicates go the same ways
    assert third.digests == []


def test_a_line_cut_short_is_asked_again_and_spoils_nothing(tmp_path: Path) -> None:
    scenarios, planner = similar_scenarios(2), PricedPlanner()
    compare(scenarios, [client_of(planner, tmp_path)], "exact")
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-30])
    again, third = PricedPlanner(), PricedPlanner()
    compare(scenarios, [client_of(again, tmp_path)], "exact")
    assert again.digests == planner.digests[-1:]
    compare(scenarios, [client_of(third, tmp_path)], "exact")
    assert third.digests == []
    path.write_text("garbage\n" + path.read_text())
    with pytest.raises(BadInput, match="line 1 is no remembered answer"):
        AnswerCache(path)


def test_another_model_has_another_cache(tmp_path: Path) -> None:
    compare(similar_scenarios(1), [client_of(PricedPlanner(), tmp_path)], "exact")
    upgraded = PricedPlanner()
    upgraded.identity = "counting model-2"
    compare(similar_scenarios(1), [client_of(upgraded, tmp_path)], "exact")
    assert upgraded.digests


def test_the_limit_ends_it_cleanly_and_keeps_what_there_is(tmp_path: Path) -> None:
    scenarios, planner = similar_scenarios(), PricedPlanner(price=1_000)
    stopped = compare(scenarios, [PlannerClient(StepPlanner("v1")), client_of(planner, tmp_path, 5_500)], "exact")
    assert len(planner.digests) == 5, "the sixth might have passed the limit"
    assert "raise --limit" in stopped.stopped
    finished = {play.scenario for play in stopped.plays if play.planner == "counting"}
    assert 0 < len(finished) < len(scenarios)
    assert len({play.scenario for play in stopped.plays if play.planner == "scripted"}) == len(scenarios)
    assert sum(play.planner_cost for play in stopped.plays) <= 5_000
    onward = PricedPlanner()
    assert compare(scenarios, [client_of(onward, tmp_path, 10**6)], "exact").stopped == ""
    assert set(onward.digests).isdisjoint(planner.digests)


def test_the_estimate_bounds_the_calls_and_leaves_out_what_is_known(tmp_path: Path) -> None:
    scenarios, planner = similar_scenarios(), PricedPlanner()
    before = estimate(scenarios, client_of(planner, tmp_path))
    assert before is not None
    assert (before.calls, before.amount) == (6 * 4, 24_000)  # six files of four ticks
    compare(scenarios, [client_of(planner, tmp_path)], "exact")
    assert 6 < len(planner.digests) <= before.calls
    after = estimate(scenarios, client_of(PricedPlanner(), tmp_path))
    assert after is not None
    assert after.calls == 0
    assert estimate(scenarios, PlannerClient(StepPlanner("v1"))) is None


def test_free_answers_are_not_kept_on_disk(tmp_path: Path) -> None:
    """A file would keep the answers of a planner past a change of it."""
    free = StepPlanner("v1")
    compare(similar_scenarios(1), [PlannerClient(free, cache_for(free, tmp_path))], "exact")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_is_an_invalid_decision_and_its_message_is_the_fault() -> None:
    crashing = StepPlanner(ZeroDivisionError("oops"), "v1", "abort")
    comparison = compare([(market(),)], [PlannerClient(crashing)], "exact")
    (play,) = [play for play in comparison.plays if play.planner == "scripted"]
    assert play.invalid == 1
    assert play.moves[0].fault == "crashed: ZeroDivisionError: oops"
    assert play.complete > 0


def test_a_planner_that_is_not_set_up_stops_everything() -> None:
    with pytest.raises(ConfigError):
        compare([(market(),)], [PlannerClient(StepPlanner(ConfigError("no key")))], "exact")


def test_no_usable_answer_is_charged_and_asked_again_another_day(tmp_path: Path) -> None:
    class Mute(PricedPlanner):
        def decide(self, context: Context, objection: str = "") -> Thought:
            self.digests.append(context.digest())
            raise PlannerError("gibberish", cost=700)

    mute, spend_limit = Mute(), SpendLimit()
    client = PlannerClient(mute, cache_for(mute, tmp_path), spend_limit)
    context = market().context(0, 10_000_000, 0, ())
    assert client(context).problem == client(context).problem == "gibberish"
    assert (len(mute.digests), spend_limit.spent) == (1, 700)
    assert cache_for(mute, tmp_path).get(context.digest()) is None


def test_the_guard_asks_once_more_and_then_the_stub() -> None:
    context = market().context(0, 10_000_000, 0, ())
    stubborn, compliant = StepPlanner("nobody"), StepPlanner("nobody", "v1")
    answer = PlannerClient(stubborn, fallback=StepPlanner("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, answer.refused, answer.problem) == ("v2", 2, "")
    assert "'nobody' is not among" in stubborn.objections[1]
    answer = PlannerClient(compliant, fallback=StepPlanner("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, answer.refused) == ("v1", 1)
    silent = StepPlanner(PlannerError("no usable answer"))
    answer = PlannerClient(silent, fallback=StepPlanner("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, len(silent.contexts)) == ("v2", 1)


def test_what_is_remembered_is_what_was_answered(tmp_path: Path) -> None:
    context = market().context(0, 10_000_000, 0, ())
    fresh = client_of(PricedPlanner(), tmp_path)(context)
    cached = client_of(PricedPlanner(), tmp_path)(context)
    assert (cached.decision, cached.ms, cached.amount, cached.fresh) == (fresh.decision, fresh.ms, fresh.amount, False)
    (line,) = next(tmp_path.iterdir()).read_text().splitlines()
    assert json.loads(line)["key"] == context.digest()
