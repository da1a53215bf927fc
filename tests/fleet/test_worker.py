"""A worker's batch: one slow run keeps no other from its next tick."""

from contextlib import closing
from threading import Event
from typing import Any

import pytest

from gpuagent.fleet import worker as worker_module
from gpuagent.fleet.worker import Leasing, Worker
from tests.support.eventually import eventually
from tests.support.world import World


def test_a_batch_gives_back_its_runs_while_a_slow_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow, later = (world.start() for _ in range(3))
    leases, go, began = world.database.queries.leases, Event(), Event()

    def tick(run_id: str, _ports: Any, reading: Any) -> Any:
        if run_id == slow.run_id:
            began.set()
            go.wait(60)
        return reading.standing.run

    monkeypatch.setattr(worker_module, "tick", tick)
    with closing(Worker(world.ports, world.database, 1, Leasing(60, batch_s=2.0))) as worker:
        turns = worker.tick_all([quick.run_id, slow.run_id, later.run_id])
        assert began.is_set()
        assert [turn.run.run_id for turn in turns] == [quick.run_id]
        assert set(leases.due(9)) == {quick.run_id, later.run_id}, "one ticked, one not begun"
        assert leases.claim([slow.run_id], "another", 60) == [], "its tick goes on under its lease"
        go.set()
        eventually(lambda: slow.run_id in leases.due(9))
        assert [turn.run.run_id for turn in worker.tick_all([])] == [slow.run_id], "handed out with the next batch"


def test_the_longest_due_is_ticked_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time ends before all are ticked, it is not the same ones that are left out each time."""
    run_ids, ticked = [world.start().run_id for _ in range(4)], list[str]()

    def tick(run_id: str, _ports: Any, reading: Any) -> Any:
        ticked.append(run_id)
        return reading.standing.run

    monkeypatch.setattr(worker_module, "tick", tick)
    with closing(Worker(world.ports, world.database, 1)) as worker:
        worker.tick_all(run_ids[::-1])
    assert ticked == run_ids[::-1]
