"""How often the agent goes to its database, to the chain and to vendors for one purchase: upper bounds.

They do not depend on the machine. `make bench` says what each costs there.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from gpuagent.agent.plan import plan
from gpuagent.core.model import RunStatus, Vendor
from gpuagent.core.ports.vendors import VendorApi, VendorJob
from gpuagent.core.transitions import apply
from gpuagent.core.work import JobReport
from gpuagent.fleet.worker import Worker
from tests.support.market import Market
from tests.support.stack import database_name
from tests.support.trips import Trips, counted_trips
from tests.support.world import World, build_world

START_COMMANDS, TICK_COMMANDS, END_COMMANDS = 2, 24, 5
"""Four steps of a tick are saved, each in one transaction: 18 writes and commits of its commands are theirs."""
NEXT_START_COMMANDS, NEXT_TICK_COMMANDS = 1, 22
"""Within seconds of another purchase from the same wallet, far from its cap: past jobs and sums are known."""
CHAIN = 4
LOOK = {"aggregate runs": 1, "find leases": 1}
BATCH = {
    **{"update leases": 2, "find leases": 1},  # claimed, read back, released
    **{"hello": 1, "find policies": 1, "find vendors": 1, "aggregate runs": 1},
}


class SameNews:
    """Vendors that are asked each time, and whose first word of a job is repeated."""

    def __init__(self, inner: VendorApi) -> None:
        self._inner = inner
        self._reports: dict[str, JobReport] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        return self._reports.setdefault(job.job_id, self._inner.status(vendor, job, after))


def test_a_purchase_takes_few_trips_and_a_poll_without_news_two(market: Market) -> None:
    market.empty(database_name())
    with counted_trips() as trips, build_world(market, database_name()) as world:
        trips.reset()
        run = world.start()
        assert trips.commands.total() <= START_COMMANDS, trips
        commands = trips.commands.total()
        world.tick(run)
        assert trips.commands.total() - commands <= TICK_COMMANDS, trips
        assert trips.chain.total() <= CHAIN, trips
        assert trips.vendors.total() == len(market.vendors) + 3, trips  # quotes; the 402, the payment, the job's state

        agent, vendors = world.agent, SameNews(world.ports.vendor_api)
        world.agent = replace(agent, ports=replace(agent.ports, vendor_api=cast("VendorApi", vendors)))
        world.tick(run)  # with news for the last time
        trips.reset()
        world.tick(run)
        assert (dict(trips.commands), trips.chain.total(), trips.vendors.total()) == ({"aggregate runs": 1}, 0, 1)
        poll_many_at_once(world, [run.run_id, *(world.tick(world.start()).run_id for _ in range(3))], trips)
        world.agent = agent

        market.work()
        trips.reset()
        assert world.tick(run).status is RunStatus.COMPLETED
        assert trips.commands.total() <= END_COMMANDS, trips
        assert (trips.chain.total(), trips.vendors.total()) == (0, 1), trips
        buy_again(world, trips)
        reserve_at_once(world, trips)


def buy_again(world: World, trips: Trips) -> None:
    """A purchase by a process that has just made another. Its clock stands: what it has read does not get old."""
    agent, store = world.agent, world.another_store(lambda: 0.0)
    world.agent = replace(agent, ports=replace(agent.ports, store=store))
    world.finish(world.start())
    trips.reset()
    run = world.start()
    assert trips.commands.total() <= NEXT_START_COMMANDS, trips
    trips.reset()
    world.tick(run)
    assert trips.commands.total() <= NEXT_TICK_COMMANDS, trips
    world.agent = agent


def reserve_at_once(world: World, trips: Trips) -> None:
    """Runs of one process wait for each other's reservation, and none starts its transaction again."""
    runs = [world.start() for _ in range(4)]
    planned = [apply(run, plan(run, world.ports)) for run in runs]
    trips.reset()
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(lambda run, after: world.store.save(run, after, (), world.market.clock.now()), runs, planned))
    assert (trips.commands["findAndModify policies"], trips.commands["abortTransaction"]) == (len(runs), 0), trips


def poll_many_at_once(world: World, run_ids: list[str], trips: Trips) -> None:
    """A worker of a fleet reads and leases the runs of a batch together, however many they are."""
    leases = world.database.queries.leases
    with closing(Worker(world.ports, world.database, 2)) as worker:
        worker.tick_all(run_ids)  # with news for the last time, and the first look at the queue
        assert len(leases.due(9)) == len(run_ids)
        trips.reset()
        assert set(leases.due(9)) == set(run_ids)
        assert trips.commands == LOOK, trips
        trips.reset()
        assert len(worker.tick_all(run_ids)) == len(run_ids)
    assert trips.commands == BATCH, trips
    assert (trips.chain.total(), trips.vendors.total()) == (0, len(run_ids)), trips
