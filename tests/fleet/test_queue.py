"""The queue of runs: whatever is in it, or in a run, hides no other run and holds up none."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from gpuagent.fleet import worker as worker_module
from gpuagent.fleet.worker import Worker
from tests.support.world import World


def leases_of(world: World) -> Any:
    return world.store.connection.database.leases


def test_a_lease_of_the_version_before_does_not_hide_its_run(world: World) -> None:
    run = world.start()
    now = datetime.now(UTC)
    leases_of(world).insert_one({"_id": ObjectId(run.run_id), "worker": "old", "until": now, "tickedAt": now})
    assert world.database.queries.leases.due(9) == [run.run_id]


def test_a_run_that_cannot_be_read_holds_up_no_other(world: World) -> None:
    bad, good = world.start(), world.start()
    database, leases = world.store.connection.database, world.database.queries.leases
    database.runs.update_one({"_id": ObjectId(bad.run_id)}, {"$set": {"maxHours": "of a newer version"}})
    with closing(Worker(world.ports, world.database, 2)) as worker:
        turns = worker.tick_all([bad.run_id, good.run_id])
    assert [turn.before.run_id for turn in turns] == [good.run_id]
    assert leases.due(9) == [good.run_id], "the other one rests"


def test_a_run_that_waits_is_looked_at_each_minute(world: World) -> None:
    run = world.start()
    now = world.market.clock.now()
    world.store.save(run, replace(run, wait_until=now + 3000, waits=1), [], now)
    with closing(Worker(world.ports, world.database, 2)) as worker:
        worker.tick_all([run.run_id])
    (lease,) = leases_of(world).find()
    assert lease["dueAt"] <= datetime.now(UTC) + timedelta(seconds=61), "readmitted, or paid by an adoption"


def test_what_fails_unforeseen_goes_to_the_end_of_the_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, other = world.start(), world.start()
    leases = world.database.queries.leases
    for run in (bad, other):
        leases.claim([run.run_id], "w" + run.run_id, 60)
        leases.release("w" + run.run_id, {})
    assert leases.due(1) == [bad.run_id]

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(worker_module, "tick", failing)
    with closing(Worker(world.ports, world.database, 1)) as worker, pytest.raises(ZeroDivisionError):
        worker.tick_all([bad.run_id])
    assert leases.due(1) == [other.run_id]


def test_an_id_of_a_clock_far_ahead_hides_no_later_run(world: World) -> None:
    leases = world.database.queries.leases
    ahead = ObjectId.from_datetime(datetime.now(UTC) + timedelta(days=400))
    world.store.connection.database.runs.insert_one({"_id": ahead}, bypass_document_validation=True)
    assert leases.due(9) == []
    run = world.start()
    assert leases.due(9) == [run.run_id]
