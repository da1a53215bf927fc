"""The clock of a MongoDB server."""

from datetime import datetime

import pytest

from gpuagent.adapters.mongo.values import seconds
from tests.support.machine_zone import machine_in
from tests.support.world import World


@pytest.mark.parametrize("zone", ["NZDT-13", "PST8"])
def test_the_databases_clock_is_the_same_wherever_the_machine_is(world: World, zone: str) -> None:
    """Nothing is signed by clocks that differ by minutes, and each agent compares its own with this one."""
    here = world.store.now()
    with machine_in(zone):
        assert abs(world.store.now() - here) < 3600
        assert abs(world.reads.server().clock + world.market.clock.ahead_s - here) < 3600


def test_a_date_that_names_no_zone_is_not_read_in_the_machines() -> None:
    with pytest.raises(TypeError):
        seconds(datetime(2026, 11, 30))
