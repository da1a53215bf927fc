"""The cron's route: due runs are ticked once each, shared among workers, within a time limit."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gpuagent.api.routes import due
from gpuagent.core.model import Run
from gpuagent.core.ports import Ports
from gpuagent.fleet import worker
from gpuagent.tick import tick
from tests.support.eventually import eventually
from tests.support.rest_server import CRON, TOKENS, Served, serving
from tests.support.world import World

SCHEDULING = Path(__file__).parents[2] / "docs" / "operating" / "scheduling.md"


def tick_due(served: Served, limit_s: float = 45) -> Any:
    return served.post(f"/api/agent-tick-due?limitS={limit_s}", {})


def test_ticks_what_is_due_and_says_so(served: Served) -> None:
    ids = {served.start() for _ in range(3)}
    waits = served.start(budget=1)
    answer = tick_due(served)
    assert {entry["runId"] for entry in answer["ticked"]} == {*ids, waits}
    assert {entry["message"] for entry in answer["ticked"]} == {"Job started", "Run aborted"}
    assert (answer["failed"], answer["left"]) == ([], 0)
    served.world.market.work()
    answer = tick_due(served)
    assert {entry["runId"]: entry["phase"] for entry in answer["ticked"]} == dict.fromkeys(ids, "SUCCESS")
    assert tick_due(served)["ticked"] == []


def test_the_cron_line_of_the_docs_ticks_in_what_cron_gives_it(world: World, tmp_path: Path) -> None:
    """Silent where all is well; a wrong secret is mailed, and not shown."""
    (line,) = re.findall(r"^\* \* \* \* \* (curl .*)$", SCHEDULING.read_text(), re.MULTILINE)
    config = tmp_path / "cron.curl"
    run = world.start()
    with serving(world, TOKENS) as served:
        command = line.replace("https://HOST", served.url).replace("/etc/gpuagent/cron.curl", str(config))
        answers = []
        for secret in ("x" * 20, CRON):
            config.write_text(f'header = "Authorization: Bearer {secret}"\n')
            environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
            answers.append(subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True))
    refused, ticked = answers
    assert (refused.returncode, "401" in refused.stderr, "xxx" in refused.stderr) == (22, True, False)
    assert (ticked.returncode, ticked.stdout, ticked.stderr) == (0, "", "")
    assert len(world.store.load(run.run_id).jobs) == 1


def test_a_run_that_waits_is_not_due(served: Served) -> None:
    run_id = served.start()
    run = served.world.store.load(run_id)
    later = replace(run, wait_until=served.world.market.clock.now() + 3000, waits=1)
    served.world.store.save(run, later, [], served.world.market.clock.now())
    assert tick_due(served)["ticked"] == []


def test_a_run_that_has_ended_is_due_until_its_money_is_decided(served: Served) -> None:
    """Cancelled while its payment is out: nobody else would follow it."""
    world = served.world
    world.market.fault("gpu_vendor_1", "never_settle")
    run_id = served.start()
    world.tick(run_id)
    served.post(f"/api/runs/{run_id}/cancel", {"why": "wrong goal"})
    for seconds, held in ((0, 1_400_000), (200, 0)):
        world.market.pass_time(seconds)
        assert [entry["runId"] for entry in tick_due(served)["ticked"]] == [run_id]
        assert world.reads.recorded(run_id).held == held
    assert tick_due(served)["ticked"] == []


def test_two_calls_at_once_share_the_runs(served: Served) -> None:
    ids = {served.start() for _ in range(6)}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: tick_due(served), range(3)))
    ticked = [entry["runId"] for answer in answers for entry in answer["ticked"] if entry["message"] == "Job started"]
    assert sorted(ticked) == sorted(ids)
    assert all(answer["failed"] == [] for answer in answers)
    runs = [served.world.store.load(run_id) for run_id in ids]
    assert sum(len(run.jobs) for run in runs) == 6
    assert len(served.world.transfers()) == 6


def test_one_lease_for_all_that_ask(world: World) -> None:
    run, leases = world.start(), world.database.queries.leases
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda number: leases.claim([run.run_id], f"w{number}", 60), range(8)))
    assert sorted(claimed) == [[]] * 7 + [[run.run_id]]
    assert leases.due(10) == []
    owner = f"w{claimed.index([run.run_id])}"
    leases.release("another", {})
    assert not leases.claim([run.run_id], "x", 60)
    leases.release(owner, {})
    assert leases.due(10) == [run.run_id]
    assert leases.claim([run.run_id], "x", 60)


def test_a_lease_ends_by_itself(world: World) -> None:
    """Its holder may have died."""
    run, leases = world.start(), world.database.queries.leases
    assert leases.claim([run.run_id], "dead", 0)
    assert leases.claim([run.run_id], "alive", 60)


def test_no_tick_begins_after_the_limit_and_the_next_call_goes_on(served: Served) -> None:
    ids = {served.start() for _ in range(12)}
    first = tick_due(served, 0.05)
    reached = {entry["runId"] for entry in first["ticked"]}
    assert len(reached) < len(ids)
    assert first["left"] == len(ids) - len(reached)
    total = set(reached)

    def all_are_reached() -> bool:
        more = {entry["runId"] for entry in tick_due(served, 0.2)["ticked"]}
        assert more - total or not more, "those that were not reached come first"
        total.update(more)
        return total == ids

    eventually(all_are_reached)


def test_what_fails_holds_up_no_other(served: Served) -> None:
    bad = served.start(vendorIds=["gpu_vendor_3"])
    good = served.start(vendorIds=["gpu_vendor_1"])
    database = served.world.market.database(served.world.environment["MONGODB_DB_NAME"])
    database.runs.update_one({"_id": ObjectId(bad)}, {"$set": {"payer": "0x" + "1" * 40}})  # another wallet's run
    answer = tick_due(served)
    assert [entry["runId"] for entry in answer["ticked"]] == [good]
    assert [(entry["runId"], entry["code"]) for entry in answer["failed"]] == [(bad, "refused")]


def test_a_lease_lasts_for_as_long_as_its_tick(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that is slower than the lease renews it: no other worker begins the same work."""
    run_id = served.start()
    monkeypatch.setattr(due, "LEASING", worker.Leasing(0.15))
    database = served.world.market.database(served.world.environment["MONGODB_DB_NAME"])
    renewals: list[str] = []

    def lease_ends() -> Any:
        return next(database.leases.find())["until"]

    def slow_tick(run_id: str, ports: Ports, reading: Any) -> Run:
        first = lease_ends()
        eventually(lambda: lease_ends() > first, otherwise="not renewed")
        renewals.append(run_id)
        return tick(run_id, ports, reading)

    monkeypatch.setattr(worker, "tick", slow_tick)
    assert [entry["runId"] for entry in tick_due(served)["ticked"]] == renewals == [run_id]
    leases = served.world.database.queries.leases
    leases.renew("another", 60)
    assert leases.claim([run_id], "next", 60)
