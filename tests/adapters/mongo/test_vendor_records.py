"""A vendor's record that was read a moment ago is not read again for a reservation, and holds as it is by then."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.adapters.mongo.vendor_records import KEPT_S
from gpuagent.agent.plan import plan
from gpuagent.core.model import Run, Vendor
from gpuagent.core.transitions import apply
from gpuagent.errors import PolicyRefused
from gpuagent.tick import step
from tests.support.clock import ManualClock
from tests.support.profiler import profiled
from tests.support.world import World

VENDOR_ID = "gpu_vendor_1"


def planned(world: World, store: MongoStore) -> tuple[Run, Run]:
    """A run that this store has read, with all vendors, and as it is to be saved with its reservation."""
    run = store.standing(world.start(vendor_ids=(VENDOR_ID,)).run_id).run
    return run, apply(run, plan(run, world.ports))


def vendor(world: World) -> Vendor:
    (recorded,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == VENDOR_ID]
    return recorded


def save(world: World, store: MongoStore, run: Run, after: Run) -> Run:
    return store.save(run, after, (), world.market.clock.now())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: replace(record, enabled=False), "has been disabled"),
        (lambda record: replace(record, pay_to="0x" + "e" * 40), "payee"),
        (lambda record: replace(record, proven=False), "new vendor"),
    ],
)
def test_a_record_that_another_process_changes_meanwhile_holds_at_the_reservation(
    world: World, change: Callable[[Vendor], Vendor], problem: str
) -> None:
    """Nothing is written: neither the reservation, nor its count."""
    world.allow(new_vendor=1)
    save(world, world.store, *planned(world, world.store))
    run, after = planned(world, world.store)
    world.another_store().put_vendor(change(vendor(world)), 1_000.0)
    before = world.database.connection.database.policies.find_one({"current": True})
    with pytest.raises(PolicyRefused, match=problem):
        save(world, world.store, run, after)
    assert world.store.load(run.run_id) == run
    assert world.database.connection.database.policies.find_one({"current": True}) == before


def test_what_is_written_by_hand_holds_at_the_reservation_once_the_reading_is_old(world: World) -> None:
    """Until then it holds at the signature."""
    clock = ManualClock()
    store, vendors = world.another_store(clock), world.store.connection.database.vendors
    save(world, store, *planned(world, store))
    (run, after), (next_run, next_after) = planned(world, store), planned(world, store)
    vendors.update_one({"vendorId": VENDOR_ID}, {"$set": {"enabled": False}})
    clock.now += KEPT_S
    assert save(world, store, run, after).jobs
    assert "has been disabled" in step(run.run_id, world.ports).jobs[0].reason  # type: ignore[union-attr]
    clock.now += 1
    with pytest.raises(PolicyRefused, match="has been disabled"):
        save(world, store, next_run, next_after)


def test_nothing_is_read_for_a_reservation_far_from_its_caps(world: World) -> None:
    """Only where a sum is to be added up, or another policy has come into force since the reading."""
    store, database = world.store, world.store.connection.database
    save(world, store, *planned(world, store))
    assert reads(database, lambda: save(world, store, *planned(world, store))) == 0
    run, after = planned(world, store)
    world.allow(vendor_per_day=10**9)
    assert reads(database, lambda: save(world, store, run, after)) > 0
    run, after = planned(world, store)
    assert reads(database, lambda: save(world, store, run, after)) > 0


def reads(database: Any, act: Callable[[], Any]) -> int:
    """How often sums and records were read within transactions."""
    with profiled(database) as profile:
        act()
        return int(profile.count_documents({"command.aggregate": "policies", "command.autocommit": False}))
