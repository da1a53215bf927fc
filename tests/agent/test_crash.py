"""What a killed tick leaves is no harm. Each point of death has its row in tests/safety/test_crashes.py."""

from tests.support.crash import assert_logs_once, tick_until_killed
from tests.support.world import World


def test_nothing_is_sent_before_it_is_stored(world: World) -> None:
    run = world.start()
    tick_until_killed(world, run, "before_store")
    assert world.market.received_headers(world.ports.wallet.address) == []
    run = world.tick(run)
    (payment,) = world.reads.documents(run.run_id)["payments"]
    assert set(world.market.received_headers(world.ports.wallet.address)) == {payment["header"]}


def test_logs_appear_once_however_often_polled(world: World) -> None:
    run = world.start()
    for _ in range(3):
        run = world.tick(run)
        run = world.tick(run)
        tick_until_killed(world, run, "after_progress")
    run = world.finish(run)
    assert_logs_once(world, run)
