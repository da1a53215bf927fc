"""The dispatcher on a queue and a crew in memory: what it gives out, and what it makes of the dead."""

from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool

import pytest

from gpuagent.errors import ConfigError, StoreError
from gpuagent.fleet import dispatcher as module
from gpuagent.fleet.crews import Ticked
from gpuagent.fleet.dispatcher import Dispatcher, Tally
from tests.support.fake_crew import FakeExecutor, FakeQueue, Workshop


def runs(count: int, ticks: int = 1) -> FakeQueue:
    return FakeQueue({f"run-{number}": ticks for number in range(count)})


def test_it_ends_when_all_runs_are_over() -> None:
    workshop = Workshop(runs(10, ticks=2))
    heard: list[int] = []
    dispatcher = Dispatcher(workshop.queue, workshop.crew(), lambda turns, _: heard.append(len(turns)))
    tally = dispatcher.run(until_done=True)
    assert (tally.ticks, tally.over, tally.failed, tally.lost) == (20, 10, 0, 0)
    assert sum(heard) == 20


def test_it_gives_no_more_than_the_crew_has_room_for() -> None:
    workshop = Workshop(runs(100))
    dispatcher = Dispatcher(workshop.queue, workshop.crew(capacity=2, batch=4))
    dispatcher._look(workshop.executors[0])
    assert [len(batch) for batch in workshop.executors[0].batches] == [4, 4, 4]  # one lies ready beside two at work
    assert dispatcher._look(workshop.executors[0]) == 0
    assert workshop.queue.limits == [12], "a full crew needs no look"


def test_few_runs_are_spread_over_the_crew() -> None:
    workshop = Workshop(runs(3))
    Dispatcher(workshop.queue, workshop.crew())._look(workshop.executors[0])
    assert [len(batch) for batch in workshop.executors[0].batches] == [1, 1, 1]


def test_what_is_under_way_is_not_given_again() -> None:
    """Until its worker has claimed it, the queue says that it is due."""
    workshop = Workshop(runs(3, ticks=9))
    dispatcher = Dispatcher(workshop.queue, workshop.crew(capacity=4))
    executor = workshop.executors[0]
    assert dispatcher._look(executor) == 3
    assert dispatcher._look(executor) == 0
    assert sorted(run_id for batch in executor.batches for run_id in batch) == ["run-0", "run-1", "run-2"]


@pytest.mark.parametrize("end", [BrokenProcessPool("killed"), CancelledError()])
def test_the_runs_of_a_dead_worker_come_again(end: BaseException) -> None:
    workshop = Workshop(runs(2), [FakeExecutor([end, end]), FakeExecutor()])
    if isinstance(end, CancelledError):  # of one batch: the crew lives
        workshop.executors = [FakeExecutor([end, end])]
    tally = Dispatcher(workshop.queue, workshop.crew()).run(until_done=True)
    assert (tally.ticks, tally.lost) == (2, 2)
    assert workshop.opened == len(workshop.executors)


def test_a_database_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AWAY_S", 0.0)
    queue = runs(2)
    queue.away = 3
    workshop = Workshop(queue, [FakeExecutor([StoreError("MongoDB did not do it")])])
    tally = Dispatcher(queue, workshop.crew()).run(until_done=True)
    assert (tally.ticks, tally.away, tally.lost) == (2, 4, 0)


def test_a_worker_without_an_agent_ends_the_fleet() -> None:
    workshop = Workshop(runs(2), [FakeExecutor([ConfigError("set WALLET_PRIVATE_KEY")])])
    with pytest.raises(ConfigError, match="WALLET_PRIVATE_KEY"):
        Dispatcher(workshop.queue, workshop.crew()).run(until_done=True)


def test_stopped_it_hears_of_what_is_under_way_and_gives_out_nothing() -> None:
    workshop = Workshop(runs(8, ticks=9))
    dispatcher = Dispatcher(workshop.queue, workshop.crew())
    dispatcher.heard = lambda _turns, _under_way: dispatcher.stopping.set()
    tally = dispatcher.run()
    assert tally.ticks == sum(map(len, workshop.executors[0].batches)) == 8


def test_the_tally_keeps_the_last_problem_of_a_run() -> None:
    tally = Tally()
    tally.count(
        [Ticked("a", "MONITORING", False, 0.1, "VendorError: away"), Ticked("b", "MONITORING", False, 0.1, "x")]
    )
    tally.count([Ticked("a", "SUCCESS", True, 0.1)])
    assert (tally.ticks, tally.failed, tally.over, tally.problems) == (3, 2, 1, {"b": "x"})


def test_a_bug_in_one_batch_does_not_end_the_fleet() -> None:
    workshop = Workshop(runs(2), [FakeExecutor([ZeroDivisionError("a bug")])])
    tally = Dispatcher(workshop.queue, workshop.crew()).run(until_done=True)
    assert (tally.ticks, tally.lost) == (2, 1)
