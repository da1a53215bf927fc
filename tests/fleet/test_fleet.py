"""The fleet on real runs: shared among threads, processes and dispatchers, each paid for once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from gpuagent.agent.approve import cancel
from gpuagent.errors import VendorError
from gpuagent.fleet import worker as worker_module
from gpuagent.fleet.crews import thread_crew
from gpuagent.fleet.dispatcher import Dispatcher
from gpuagent.fleet.worker import Leasing, Worker
from tests.support.fleet import check_each_is_paid_once, start_all
from tests.support.world import World


def test_two_fleets_share_the_runs(quick: World) -> None:
    run_ids, leases = start_all(quick, 6), quick.database.queries.leases
    with (
        thread_crew(quick.agent, 4, Leasing(rest_s=0.1)) as one,
        thread_crew(quick.agent, 4, Leasing(rest_s=0.1)) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        tallies = list(pool.map(lambda crew: Dispatcher(leases, crew).run(until_done=True), (one, other)))
    for tally in tallies:
        check_each_is_paid_once(quick, run_ids, tally)
    assert sum(tally.over for tally in tallies) == 6


def test_what_fails_holds_up_no_other_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = world.start(), world.start()
    tick = worker_module.tick

    def failing(run_id: str, *arguments: Any) -> Any:
        if run_id == bad.run_id:
            raise VendorError("it is away")
        return tick(run_id, *arguments)

    monkeypatch.setattr(worker_module, "tick", failing)
    with closing(Worker(world.ports, world.database, 2)) as worker:
        turns = {turn.before.run_id: turn for turn in worker.tick_all([bad.run_id, good.run_id])}
    assert str(turns[bad.run_id].error) == "it is away"
    assert turns[good.run_id].error is None
    assert len(turns[good.run_id].run.jobs) == 1
    assert set(world.database.queries.leases.due(9)) == {bad.run_id, good.run_id}, "both are free again"


def test_a_run_rests_between_two_ticks(world: World) -> None:
    run_id, leases = world.start().run_id, world.database.queries.leases
    assert leases.due(9) == [run_id], "not ticked yet"
    for rest_s, due in ((0.0, [run_id]), (60.0, [])):
        leases.claim([run_id], f"worker {rest_s}", 60)
        assert leases.due(9) == [], "claimed"
        leases.release(f"worker {rest_s}", {run_id: rest_s})
        assert leases.due(9) == due
    assert leases.unfinished()


def test_a_run_that_is_over_leaves_the_queue(world: World) -> None:
    run, leases = world.start(), world.database.queries.leases
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    assert not leases.unfinished()
    leases.claim([run.run_id], "a worker", 60)
    leases.release("a worker", {run.run_id: None})
    assert leases.due(9) == []
    assert list(world.market.database(world.environment["MONGODB_DB_NAME"]).leases.find()) == []
