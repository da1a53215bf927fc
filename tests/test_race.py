"""Many ticks of one run at once are one tick."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from gpuagent.model import Run, RunStatus
from tests.world import World

TICKERS = 20


def test_twenty_ticks_of_a_fresh_run(world: World) -> None:
    run = world.start()
    together = Barrier(TICKERS)

    def tick(_: int) -> Run:
        together.wait()
        return world.tick(run)

    with ThreadPoolExecutor(TICKERS) as pool:
        list(pool.map(tick, range(TICKERS)))
    documents = world.store.documents(run.run_id)
    assert len(documents["jobs"]) == 1
    assert len(documents["payments"]) == 1
    assert len(world.transfers()) == 1
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)
