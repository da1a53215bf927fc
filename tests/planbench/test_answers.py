"""Asking planners: each context once, across interruptions; a limit on spending; the guard of production."""

import json
from pathlib import Path

import pytest

from gpuagent.core.context import Context, Thought
from gpuagent.errors import BadInput, ConfigError, PlannerError
from gpuagent.planbench.answers import Asker, Memory, Purse, memory_of
from gpuagent.planbench.compare import compare, estimate
from tests.support.scenarios import Counting, Scripted, many, market


def asker(planner: Counting, folder: Path, limit: int | None = None) -> Asker:
    return Asker(planner, memory_of(planner, folder), Purse(limit))


def test_interrupted_and_started_again_it_repeats_no_call(tmp_path: Path) -> None:
    scenarios, first = many(), Counting(interrupted_at=4)
    with pytest.raises(KeyboardInterrupt):
        compare(scenarios, [asker(first, tmp_path)], "exact")
    assert len(first.asked) == 4
    second = Counting()
    resumed = compare(scenarios, [asker(second, tmp_path)], "exact")
    assert second.asked
    assert set(first.asked).isdisjoint(second.asked)
    assert len(set(second.asked)) == len(second.asked)
    untroubled = Counting()
    whole = compare(scenarios, [asker(untroubled, tmp_path / "other")], "exact")
    assert sorted(untroubled.asked) == sorted(first.asked + second.asked)
    assert [play.utility for play in whole.plays] == [play.utility for play in resumed.plays]
    third = Counting()
    compare(scenarios, [asker(third, tmp_path)], "sampled")  # replicates go the same ways
    assert third.asked == []


def test_a_line_cut_short_is_asked_again_and_spoils_nothing(tmp_path: Path) -> None:
    scenarios, planner = many(2), Counting()
    compare(scenarios, [asker(planner, tmp_path)], "exact")
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-30])
    again, third = Counting(), Counting()
    compare(scenarios, [asker(again, tmp_path)], "exact")
    assert again.asked == planner.asked[-1:]
    compare(scenarios, [asker(third, tmp_path)], "exact")
    assert third.asked == []
    path.write_text("garbage\n" + path.read_text())
    with pytest.raises(BadInput, match="line 1 is no remembered answer"):
        asker(Counting(), tmp_path)


def test_another_model_is_another_memory(tmp_path: Path) -> None:
    compare(many(1), [asker(Counting(), tmp_path)], "exact")
    other = Counting()
    other.identity = "counting model-2"
    compare(many(1), [asker(other, tmp_path)], "exact")
    assert other.asked


def test_the_limit_ends_it_cleanly_and_keeps_what_there_is(tmp_path: Path) -> None:
    scenarios, planner = many(), Counting(price=1_000)
    stopped = compare(scenarios, [Asker(Scripted("v1"), Memory(), Purse()), asker(planner, tmp_path, 5_500)], "exact")
    assert len(planner.asked) == 5, "the sixth might have passed the limit"
    assert "raise --limit" in stopped.stopped
    finished = {play.scenario for play in stopped.plays if play.planner == "counting"}
    assert 0 < len(finished) < len(scenarios)
    assert len({play.scenario for play in stopped.plays if play.planner == "scripted"}) == len(scenarios)
    assert sum(play.planner_cost for play in stopped.plays) <= 5_000
    onward = Counting()
    assert compare(scenarios, [asker(onward, tmp_path, 10**6)], "exact").stopped == ""
    assert set(onward.asked).isdisjoint(planner.asked)


def test_the_estimate_bounds_the_calls_and_leaves_out_what_is_known(tmp_path: Path) -> None:
    scenarios, planner = many(), Counting()
    before = estimate(scenarios, asker(planner, tmp_path))
    assert before is not None
    assert (before.calls, before.amount) == (6 * 4, 24_000)  # six files of four ticks
    compare(scenarios, [asker(planner, tmp_path)], "exact")
    assert 6 < len(planner.asked) <= before.calls
    after = estimate(scenarios, asker(Counting(), tmp_path))
    assert after is not None
    assert after.calls == 0
    assert estimate(scenarios, Asker(Scripted("v1"), Memory(), Purse())) is None


def test_free_answers_are_not_kept_on_disk(tmp_path: Path) -> None:
    """A planner that was changed must not be shown as it was."""
    free = Scripted("v1")
    compare(many(1), [Asker(free, memory_of(free, tmp_path), Purse())], "exact")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_is_an_invalid_decision_and_its_words_are_kept() -> None:
    crashing = Scripted(ZeroDivisionError("oops"), "v1", "abort")
    comparison = compare([(market(),)], [Asker(crashing, Memory(), Purse())], "exact")
    (play,) = [play for play in comparison.plays if play.planner == "scripted"]
    assert play.invalid == 1
    assert play.moves[0].fault == "crashed: ZeroDivisionError: oops"
    assert play.complete > 0


def test_a_planner_that_is_not_set_up_stops_everything() -> None:
    with pytest.raises(ConfigError):
        compare([(market(),)], [Asker(Scripted(ConfigError("no key")), Memory(), Purse())], "exact")


def test_no_usable_answer_is_charged_and_asked_again_another_day(tmp_path: Path) -> None:
    class Mute(Counting):
        def decide(self, context: Context, objection: str = "") -> Thought:
            self.asked.append(context.digest())
            raise PlannerError("gibberish", cost=700)

    mute, purse = Mute(), Purse()
    made = Asker(mute, memory_of(mute, tmp_path), purse)
    context = market().seen(0, 10_000_000, 0, ())
    assert made(context).problem == made(context).problem == "gibberish"
    assert (len(mute.asked), purse.spent) == (1, 700)
    assert memory_of(mute, tmp_path).get(context.digest()) is None


def test_the_guard_asks_once_more_and_then_the_stub() -> None:
    context = market().seen(0, 10_000_000, 0, ())
    stubborn, yielding = Scripted("nobody"), Scripted("nobody", "v1")
    answer = Asker(stubborn, Memory(), Purse(), fallback=Scripted("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, answer.refused, answer.problem) == ("v2", 2, "")
    assert "'nobody' is not among" in stubborn.objections[1]
    answer = Asker(yielding, Memory(), Purse(), fallback=Scripted("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, answer.refused) == ("v1", 1)
    silent = Scripted(PlannerError("no usable answer"))
    answer = Asker(silent, Memory(), Purse(), fallback=Scripted("v2"))(context)
    assert (answer.decision and answer.decision.vendor_id, len(silent.seen)) == ("v2", 1)


def test_what_is_remembered_is_what_was_answered(tmp_path: Path) -> None:
    context = market().seen(0, 10_000_000, 0, ())
    asked = asker(Counting(), tmp_path)(context)
    again = asker(Counting(), tmp_path)(context)
    assert (again.decision, again.ms, again.amount, again.fresh) == (asked.decision, asked.ms, asked.amount, False)
    (line,) = next(tmp_path.iterdir()).read_text().splitlines()
    assert json.loads(line)["key"] == context.digest()
