"""A fleet whose workers die in the middle of a purchase, whose database steps down, and that is cut off from it."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from gpuagent.adapters.mongo.embedded import last_server
from gpuagent.adapters.mongo.embedded_secrets import REPLICA_SET, superuser_uri
from gpuagent.fleet.crews import process_crew, thread_crew
from gpuagent.fleet.dispatcher import Dispatcher
from gpuagent.fleet.worker import Leasing
from tests.support.eventually import eventually
from tests.support.fleet import check_each_is_paid_once, start_all, worker_processes
from tests.support.tcp_proxy import TcpProxy
from tests.support.world import World

IN_TIME_S = 90
LEASING = Leasing(2, 0.1)


@contextmanager
def fleet_behind(proxy: TcpProxy, world: World) -> Iterator[Dispatcher]:
    """A fleet with a worker process that reaches the database through the proxy, until the block ends."""
    own, way = urlsplit(world.environment["MONGODB_URI"]), urlsplit(proxy.url)
    address = own.netloc.replace(f":{own.port}", f":{way.port}")
    straight = own.query.replace(f"replicaSet={REPLICA_SET}", "directConnection=true")  # else past the proxy
    environment = world.environment | {"MONGODB_URI": own._replace(netloc=address, query=straight).geturl()}
    fleet = Dispatcher(world.database.queries.leases, process_crew(environment, 1, 4, LEASING))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fleet.run)
        try:
            yield fleet
        finally:
            fleet.stopping.set()
            running.result()


def in_the_middle(world: World, stop: Callable[[], None], go_on: Callable[[], None]) -> None:
    """Stop what buys while a payment is signed and not yet seen on the chain."""
    jobs = world.market.database(world.environment["MONGODB_DB_NAME"]).jobs

    def is_signed() -> bool:
        return jobs.find_one({"state": "authorized"}) is not None

    def stopped() -> bool:
        if not is_signed():
            return False
        stop()
        if still := is_signed():
            return still
        go_on()
        return False

    eventually(stopped, IN_TIME_S, "no payment was under way")


def send_workers(number: int) -> None:
    for pid in worker_processes():
        os.kill(pid, number)


def step_down(folder: Path) -> None:
    """Let mongod be no primary for a second. It ends the connections of its clients."""
    server = last_server(folder / "mongod")
    assert server
    with MongoClient[Any](superuser_uri(server["port"], folder / "mongod")) as superuser, suppress(AutoReconnect):
        superuser.admin.command("replSetStepDown", 1, force=True)


@pytest.mark.safety("a fleet is killed, cut off and its database steps down: every run ends, and is paid once")
def test_no_run_is_lost_and_none_is_paid_twice(
    quick: World, quick_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    leases = quick.database.queries.leases
    run_ids: list[str] = []

    def all_are_over() -> bool:
        return not leases.unfinished()

    with TcpProxy(quick.environment["MONGODB_URI"]) as proxy, fleet_behind(proxy, quick) as fleet:
        run_ids += start_all(quick, 4)
        in_the_middle(quick, lambda: send_workers(signal.SIGSTOP), lambda: send_workers(signal.SIGCONT))
        send_workers(signal.SIGKILL)
        eventually(all_are_over, IN_TIME_S)
        assert fleet.tally.lost, "batches of the dead"

        run_ids += start_all(quick, 4)
        in_the_middle(quick, lambda: step_down(quick_folder), lambda: None)
        eventually(all_are_over, IN_TIME_S)

        run_ids += start_all(quick, 4)
        in_the_middle(quick, lambda: setattr(proxy, "mode", "hang"), lambda: setattr(proxy, "mode", "up"))
        with thread_crew(quick.agent, 4, LEASING) as crew:  # another machine's, which the split does not cut off
            tally = Dispatcher(leases, crew).run(until_done=True)
        proxy.mode = "up"  # and what was about to be paid and saved goes on, late
    assert not worker_processes()
    check_each_is_paid_once(quick, run_ids, tally)
    for run_id in run_ids:
        assert quick.books(quick.store.load(run_id)).balanced
    record_property(
        "observed",
        f"{len(run_ids)} runs, as many transfers, books equal to the chain; worker processes killed while a payment "
        "was under way, mongod stepped down, workers cut off from it while another fleet went on",
    )
