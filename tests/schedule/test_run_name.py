"""Names of scheduled runs: ids, names, names by period; a name is started once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from threading import Barrier
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from gpuagent.agent.start import Order, start
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.zones import zone_of
from gpuagent.errors import BadInput, DuplicateRun, UnknownRun, WalletUnfunded
from gpuagent.schedule.run_name import PERIODS, ended_run, load_or_start, run_id_of, run_name
from tests.support.world import World

ORDER = Order(goal="Fine-tune tiny-llm", budget=5_000_000)
NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z, a Saturday


def test_a_name_is_one_run_and_an_id_is_itself() -> None:
    assert run_id_of("nightly-2026-01-31") == run_id_of("nightly-2026-01-31") != run_id_of("nightly-2026-02-01")
    assert run_id_of("65B0C0FFEE65b0c0ffee65b0") == "65b0c0ffee65b0c0ffee65b0"


@pytest.mark.parametrize("text", ["", "a b", "../x", "-x", "é", "x" * 81, "a/b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="such as nightly"):
        run_id_of(text)


def test_a_named_run_is_started_once_and_continued_after(world: World) -> None:
    first = load_or_start(ORDER, "nightly-1", world.ports)
    assert first.tags == ("scheduled", "nightly-1")
    world.tick(first)
    again = load_or_start(ORDER, "nightly-1", world.ports)
    assert (again.run_id, len(again.jobs)) == (first.run_id, 1)
    assert len(world.reads.runs()) == 1
    assert load_or_start(ORDER, "nightly-2", world.ports).run_id != first.run_id
    assert load_or_start(ORDER, "", world.ports).run_id != load_or_start(ORDER, "", world.ports).run_id


def test_started_by_many_at_once_it_is_one_run(world: World) -> None:
    """Every thread has found no run before the first of them writes one."""
    barrier = Barrier(4)

    class Meeting:
        def create(self, run: Run) -> None:
            barrier.wait(30)
            world.store.create(run)

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

    ports = replace(world.ports, store=Meeting())
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: load_or_start(ORDER, "at-once", ports), range(4)))
    assert len({run.run_id for run in runs}) == 1
    assert len(world.reads.runs()) == 1


def test_an_id_is_taken_once(world: World) -> None:
    run = world.start()
    with pytest.raises(DuplicateRun, match=run.run_id):
        start(ORDER, world.ports, run.run_id)


def test_an_id_continues_its_run_whatever_is_ordered_and_must_be_there(world: World) -> None:
    run = world.start(budget=3)
    assert load_or_start(ORDER, run.run_id, world.ports) == run
    with pytest.raises(UnknownRun):
        load_or_start(ORDER, "0" * 24, world.ports)
    assert len(world.reads.runs()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goal": "Something else"}, "goal 'Fine-tune tiny-llm', not 'Something else'"),
        ({"budget": 6_000_000}, "budget '5.00 USD', not '6.00 USD'"),
        ({"gpu_type": "L4"}, "gpu_type"),
        ({"planner": "llm"}, "planner 'stub', not 'llm'"),
        ({"user_id": "ada"}, "user"),
    ],
)
def test_a_name_that_is_used_for_something_else_is_refused(world: World, changes: Any, message: str) -> None:
    load_or_start(ORDER, "nightly", world.ports)
    with pytest.raises(BadInput, match=message):
        load_or_start(replace(ORDER, **changes), "nightly", world.ports)


def test_a_gpu_in_small_letters_is_the_same_order(world: World) -> None:
    run = load_or_start(ORDER, "nightly", world.ports)
    assert load_or_start(replace(ORDER, gpu_type=run.gpu_type.lower()), "nightly", world.ports) == run


def test_a_run_that_was_begun_is_continued_though_none_could_begin(make_world: Callable[..., World]) -> None:
    """The wallet is empty by now: that is no reason to leave alone what was paid."""
    poor = make_world(funds=1_400_000)
    run = load_or_start(ORDER, "paid", poor.ports)
    poor.tick(run)
    assert poor.chain.head(poor.ports.wallet.address).balance == 0
    assert load_or_start(ORDER, "paid", poor.ports).run_id == run.run_id
    with pytest.raises(WalletUnfunded):
        load_or_start(ORDER, "another", poor.ports)


def document(tag: str, status: str = "running", held_usd: str = "0") -> dict[str, Any]:
    return {"tags": ["scheduled", tag], "status": status, "held": Decimal128(held_usd)}


@pytest.mark.parametrize(
    ("period", "name"),
    [("hour", "n-2026-01-31T12"), ("day", "n-2026-01-31"), ("week", "n-2026-W05"), ("month", "n-2026-01")],
)
def test_a_period_has_its_name(period: str, name: str) -> None:
    assert run_name("n", period, NOON, []) == name
    assert run_id_of(name)
    assert set(PERIODS) == {"hour", "day", "week", "month"}


@pytest.mark.parametrize(
    ("zone", "times", "days"),
    [
        # 20:00 every evening in New York: UTC would skip 2 November and count 8 March twice.
        ("America/New_York", ("2025-11-01T20:00-04:00", "2025-11-02T20:00-05:00"), ("2025-11-01", "2025-11-02")),
        ("America/New_York", ("2026-03-07T19:30-05:00", "2026-03-08T19:30-04:00"), ("2026-03-07", "2026-03-08")),
        # The ends of a day of 23 and of one of 25 hours, in Berlin.
        ("Europe/Berlin", ("2026-03-29T00:00+01:00", "2026-03-29T23:59+02:00"), ("2026-03-29", "2026-03-29")),
        ("Europe/Berlin", ("2026-10-25T00:00+02:00", "2026-10-25T23:59+01:00"), ("2026-10-25", "2026-10-25")),
        ("Asia/Kolkata", ("2026-01-31T23:59+05:30", "2026-02-01T00:00+05:30"), ("2026-01-31", "2026-02-01")),
        ("UTC", ("2026-03-29T00:30+01:00", "2026-03-29T02:30+02:00"), ("2026-03-28", "2026-03-29")),
    ],
)
def test_a_day_is_one_of_the_calendar_that_is_named(zone: str, times: tuple[str, ...], days: tuple[str, ...]) -> None:
    moments = [datetime.fromisoformat(text).timestamp() for text in times]
    assert [run_name("n", "day", at, [], zone_of(zone)) for at in moments] == [f"n-{day}" for day in days]


def test_the_hours_of_a_day_of_25_have_25_names() -> None:
    begin = datetime.fromisoformat("2026-10-25T00:00+02:00").timestamp()
    names = {run_name("n", "hour", begin + 3600 * hour, [], zone_of("Europe/Berlin")) for hour in range(25)}
    assert len(names) == 25


def test_a_run_that_is_over_leaves_nothing_to_do() -> None:
    def named(name: str, held_usd: str = "0") -> dict[str, Any]:
        order = {"_id": ObjectId(run_id_of(name)), "goal": "Tune it", "budgetTotal": Decimal128("5")}
        order |= {"gpuType": "A100", "maxHours": 1.0, "userId": "local", "planner": "stub"}
        return {**document(name, "failed", held_usd), **order}

    over, undecided = named("n-2026-01-30"), named("n-2026-01-29", "1.4")
    assert ended_run("n-2026-01-30", [undecided, over]) == over
    assert ended_run("n-2026-01-30", [over], {"goal": " Tune it", "budget": "5.00", "run_id": "n"}) == over
    same = {"gpu_type": "a100", "hours": "1.0", "user": "local", "planner": "stub", "goal": "", "max_ticks": 7}
    assert ended_run("n-2026-01-30", [over], same) == over
    assert ended_run("n-2026-01-29", [undecided, over]) is None
    assert ended_run("n-2026-01-31", [undecided, over]) is None
    others = ({"goal": "Tune more"}, {"budget": "6"}, {"budget": "five"}, {"gpu_type": "H100"}, {"hours": "2"})
    for another in (*others, {"hours": "long"}, {"user": "ada"}, {"planner": "llm"}, {"job": "job.yaml"}):
        assert ended_run("n-2026-01-30", [over], another) is None, "the notebook refuses that, in words"


def test_an_earlier_period_that_is_not_over_comes_first_the_oldest_of_them() -> None:
    newest_first = [
        document("n-2026-01-31"),
        document("n-2026-01-30"),
        document("n-2026-01-29", "failed", held_usd="1.4"),  # ended, but its money is not decided
        document("n-2026-01-28", "completed"),
        document("another-2026-01-27"),
        document("n-more-2026-01-27"),
        document("n-2026-W05"),
    ]
    assert run_name("n", "day", NOON, newest_first) == "n-2026-01-29"
    assert run_name("n", "day", NOON, newest_first[3:]) == "n-2026-01-31"


def test_runs_of_the_database_are_read_as_they_are_written(world: World) -> None:
    run = load_or_start(ORDER, "n-2026-01-30", world.ports)
    assert run_name("n", "day", NOON, world.reads.runs()) == "n-2026-01-30"
    assert world.finish(run).status is RunStatus.COMPLETED
    assert run_name("n", "day", NOON, world.reads.runs()) == "n-2026-01-31"


@pytest.mark.parametrize(("name", "period"), [("n", "year"), ("", "day"), ("0" * 24, "day")])
def test_no_period_and_no_name(name: str, period: str) -> None:
    with pytest.raises(BadInput):
        run_name(name, period, NOON, [])
