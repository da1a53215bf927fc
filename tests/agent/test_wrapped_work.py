"""Work with files at a vendor that takes a command and nothing else: bought, run for real, collected, gone on with."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.files.s3 import S3Store
from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.api.as_json import json_value
from gpuagent.core.model import Authorized, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.steps import is_over
from gpuagent.core.work import Completed, Failed
from gpuagent.core.workload import Workload
from gpuagent.wiring.vendors import record_vendors, vendor_from
from mock_vendor.stubs.serve import StubMarket
from tests.conftest import SafetyNote
from tests.support import s3_server
from tests.support.eventually import eventually
from tests.support.market import Market
from tests.support.stub_market import running_stubs
from tests.support.world import World

DATA, SMALL = b"0123456789abcdef" * 10_000, b"small\n"
SHA256 = {content: hashlib.sha256(content).hexdigest() for content in (DATA, SMALL)}
INPUTS = [
    {"path": path, "sha256": SHA256[content], "bytes": len(content)}
    for path, content in (("in/data", DATA), ("small", SMALL))
]


@pytest.fixture(scope="module")
def shared_stubs(shared_market: Market) -> Iterator[StubMarket]:
    with running_stubs(shared_market.environment) as stubs:
        yield stubs


@pytest.fixture
def stubs(shared_stubs: StubMarket) -> Iterator[StubMarket]:
    yield shared_stubs
    shared_stubs.heal()


@pytest.fixture(scope="module")
def depot() -> Iterator[S3Store]:
    with s3_server.running() as environ:
        yield S3Store(s3_server.BUCKET, "agent", environ)


@pytest.fixture
def world(make_world: Callable[..., World], market: Market, stubs: StubMarket, depot: S3Store) -> Iterator[World]:
    parts = Parts(market.environment.get, market.clock.now, lambda sha256: b"".join(depot.read(sha256)), None, depot)
    with closing(VendorRegistry(parts)) as vendor_api:
        world = make_world(vendor_api=vendor_api)
        record_vendors(world.database, map(vendor_from, stubs.listing()))
        yield replace(world, agent=replace(world.agent, ports=replace(world.ports, files=depot)))


def order(world: World, command: str, vendor: str = "hypercli", budget: float = 5, **fields: Any) -> Run:
    workload = Workload.model_validate({"name": "job", "command": command, "max_duration": "10m", **fields})
    contents = {SHA256[content]: (lambda content=content: [content]) for content in (DATA, SMALL)}
    return world.start(budget, workload=workload, sources=contents, vendor_ids=(vendor,))


def finished(world: World, run: Run) -> Run:
    """The run once it is over: its jobs run for real, the chain goes on with each look, and no wait is waited."""

    def look() -> Run | None:
        world.market.rpc("evm_mine")
        now = world.tick(run)
        world.market.clock.ahead_s += max(0, math.ceil(now.wait_until - world.market.clock.now()))
        return now if is_over(now) else None

    return eventually(look, otherwise="the run does not end")


def content(world: World, run: Run, path: str) -> bytes:
    job = run.jobs[-1]
    assert not isinstance(job, Reserved)
    (file,) = [file for file in job.files if file.path == path]
    found = b"".join(world.ports.files.read(file.sha256))
    assert hashlib.sha256(found).hexdigest() == file.sha256
    return found


def shown(world: World, run: Run) -> str:
    """All that views, streams and exports show of a run."""
    return json.dumps(json_value(world.reads.documents(run.run_id)), default=str)


@pytest.mark.parametrize(("name", "gpu"), [("hypercli", "A100"), ("prism", "A100"), ("openvps", "CPU")])
def test_work_with_files_is_done_and_goes_on_from_a_checkpoint(
    world: World, stubs: StubMarket, name: str, gpu: str
) -> None:
    """Where a seller calls a program that failed completed, and is paid for that, its checkpoint counts as well."""
    first = (
        "mkdir state; echo 2 > state/weights; echo '{\"fraction\": 0.5}' > state/progress.json; echo failing; exit 9"
    )
    command = (
        f'if [ -d "$GPUAGENT_RESUME" ]; then cat in/data small "$GPUAGENT_RESUME/weights" > out/model; else {first}; fi'
    )
    run = order(
        *(world, command, name),
        resources={"gpu": gpu},
        setup="mkdir out; env",
        inputs=INPUTS,
        outputs=[{"path": "out/model"}],
        checkpoint={"path": "state", "every": "1m"},
    )
    run = finished(world, run)
    assert run.status is RunStatus.COMPLETED
    failed, done = run.jobs
    assert isinstance(failed, Settled)
    assert isinstance(failed.work, Failed)
    assert failed.work.exit_code == 9
    assert failed.checkpoint
    assert failed.checkpoint.fraction == 0.5
    assert isinstance(done, Settled)
    assert isinstance(done.work, Completed)
    assert content(world, run, "out/model") == DATA + SMALL + b"2\n"
    assert world.store.load(run.run_id) == run
    world.assert_balanced(run, transfers=2)
    text = shown(world, run)
    for job in run.jobs:
        assert job.quote.envelope.folder
        assert job.quote.envelope.folder not in text
    assert "X-Amz-" not in text
    assert "[gpuagent" not in text, "lines for the agent are none of the job's log"
    commands = [job.command for job in stubs.stub(name).jobs.values()]
    assert len(set(commands)) == 2, "each job is another text, and has one"


def test_files_come_before_the_payment_where_that_follows_the_work(world: World, stubs: StubMarket) -> None:
    """The run has its result while the money is held; a seller that then cannot take it has been paid nothing."""
    stubs.prism.switch("unsettled")
    run = order(world, "cat small > copy", "prism", inputs=INPUTS, outputs=[{"path": "copy"}])
    run = eventually(lambda: done if (done := world.tick(run)).status is RunStatus.COMPLETED else None)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    assert isinstance(job.work, Completed)
    assert content(world, run, "copy") == SMALL
    assert world.books(run).ledger.held == job.quote.amount
    world.market.pass_time(2 * 3600)
    run = finished(world, run)
    assert isinstance(run.jobs[0], Voided)
    assert content(world, run, "copy") == SMALL
    world.assert_balanced(run, transfers=0)


@pytest.mark.safety("a vendor paid after the work that lists a file by another hash than what it sent has")
def test_a_file_that_is_another_than_was_listed_is_no_result(
    world: World, stubs: StubMarket, monkeypatch: pytest.MonkeyPatch, safety_note: SafetyNote
) -> None:
    output, listed = stubs.prism.bench.output, "0" * 64
    monkeypatch.setattr(stubs.prism.bench, "output", lambda job_id: output(job_id).replace(SHA256[SMALL], listed))
    run = finished(world, order(world, "cat small > copy", "prism", 0.5, inputs=INPUTS, outputs=[{"path": "copy"}]))
    assert run.status is RunStatus.FAILED
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert "does not deliver what it listed" in job.work.reason
    assert job.files == ()
    world.assert_balanced(run, transfers=1)
    safety_note(
        "refused, and not kept; what the seller took on chain is counted, once, and nothing more is bought there"
    )
