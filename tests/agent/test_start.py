"""An order may pass by what its process read seconds ago; a refusal, and each payment, rests on what is read for it."""

from dataclasses import replace

import pytest

from gpuagent.core.model import Vendor
from gpuagent.core.policy import EVERY_WALLET, Halt
from gpuagent.errors import BadInput, PolicyRefused, UnknownVendor
from tests.support.world import World


def vendor(world: World, vendor_id: str = "gpu_vendor_1") -> Vendor:
    (recorded,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == vendor_id]
    return recorded


def assert_nothing_paid(world: World) -> None:
    assert world.market.received_headers(world.ports.wallet.address) == []
    assert world.transfers() == ()


def test_a_vendor_that_another_process_has_just_recorded_can_be_ordered_from(world: World) -> None:
    world.start()
    with pytest.raises(UnknownVendor, match="late_vendor"):
        world.start(vendor_ids=("late_vendor",))
    world.another_store().put_vendor(replace(vendor(world), vendor_id="late_vendor"), 1_000.0)
    assert world.start(vendor_ids=("late_vendor",)).vendor_ids == ("late_vendor",)


def test_a_vendor_that_is_disabled_gets_no_order_from_its_process_and_no_money_from_another(world: World) -> None:
    world.start()
    world.store.put_vendor(replace(vendor(world), enabled=False), 1_000.0)
    with pytest.raises(BadInput):
        world.start(vendor_ids=("gpu_vendor_1",))
    world.store.put_vendor(replace(vendor(world), enabled=True), 1_001.0)
    world.start()
    world.another_store().put_vendor(replace(vendor(world), enabled=False), 1_002.0)
    world.tick(world.start(vendor_ids=("gpu_vendor_1",)))
    assert_nothing_paid(world)


def test_what_another_process_forbids_meanwhile_stops_the_run_before_it_pays(world: World) -> None:
    world.start()
    other = world.another_store()
    other.change_policy(lambda rules: replace(rules, per_payment=1), "Ada", "stop", 1_000.0)
    assert not world.tick(world.start()).jobs
    halts = (Halt("wallet", EVERY_WALLET, "Ada", "stop", 1_000.0),)
    other.change_policy(lambda rules: replace(rules, halts=halts), "Ada", "stop", 1_000.0)
    with pytest.raises(PolicyRefused, match="Nothing was signed"):
        world.tick(world.start())
    assert_nothing_paid(world)
