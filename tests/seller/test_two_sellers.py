"""Two sellers in containers on one machine, one of which is killed at work: the run goes on at the other."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.pace import Pace
from gpuagent.core.steps import is_over
from gpuagent.core.work import Completed, Failed
from gpuagent.practice import stack
from gpuagent.wire.job_file import read_job_file
from gpuagent.wire.job_inputs import with_contents
from tests.support.container_seller import ContainerSeller, container_seller
from tests.support.eventually import eventually
from tests.support.market import Market
from tests.support.world import World, build_world

STEPS, KEPT = 40, 20
JOB = """\
name: digest
command: python3 digest.py
resources: {gpu: A100}
max_duration: 1h
inputs: [{path: digest.py, file: digest.py}]
outputs: [{path: result.bin}]
checkpoint: {path: checkpoint, every: 1s}
"""
# A chain of hashes. The first that computes it stays for ever at its checkpoint: it is to be killed there.
PROGRAM = f"""\
import hashlib, json, os, pathlib, time
resume, first, state = os.environ.get("GPUAGENT_RESUME"), 1, b""
if resume:
    state = pathlib.Path(resume, "state").read_bytes()
    first = json.loads(pathlib.Path(resume, "progress.json").read_text())["step"] + 1
print("from step", first, flush=True)
for step in range(first, {STEPS} + 1):
    state = hashlib.sha256(state + bytes([step])).digest()
    if step == {KEPT}:
        folder = pathlib.Path("checkpoint"); folder.mkdir()
        (folder / "state").write_bytes(state)
        (folder / "progress.part").write_text(json.dumps({{"fraction": step / {STEPS}, "step": step}}))
        (folder / "progress.part").replace(folder / "progress.json")
        time.sleep(600)
pathlib.Path("result.bin").write_bytes(state)
"""
PACE = Pace(silence_s=2.0, at_once_s=0.0)


def result() -> bytes:
    state = b""
    for step in range(1, STEPS + 1):
        state = hashlib.sha256(state + bytes([step])).digest()
    return state


@pytest.fixture
def own_market(shared_market: Market) -> Iterator[Market]:
    """A chain whose clock is the sellers' own, which no test turns."""
    database = shared_market.environment["MONGODB_URI"]
    with (
        stack.start(mongodb_uri=database, PORT="0", MOCK_VENDORS="1", MOCK_SANDBOX="none") as running,
        closing(Market(running)) as market,
    ):
        yield market


@pytest.fixture
def sellers(own_market: Market, tmp_path: Path) -> Iterator[tuple[ContainerSeller, ContainerSeller]]:
    with ExitStack() as closing_:
        near, far = (
            closing_.enter_context(container_seller(tmp_path / name, name, price, own_market))
            for name, price in (("near", "1.00"), ("far", "1.20"))
        )
        yield near, far


def test_a_run_goes_on_at_the_other_seller(
    own_market: Market, sellers: tuple[ContainerSeller, ContainerSeller]
) -> None:
    near, far = sellers
    own_market.vendors = (near.vendor, far.vendor)
    with build_world(own_market, "two_sellers") as own:
        own.market.empty("two_sellers", "runs", "jobs", "payments")
        world = replace(own, agent=replace(own.agent, ports=replace(own.ports, pace=PACE)))
        job = with_contents(read_job_file(JOB.encode()), {"digest.py": PROGRAM.encode()})
        run = world.start(workload=job.workload, sources=job.sources)

        run = ticked(world, run, has_checkpoint)
        near.kill()
        run = ticked(world, run, is_over)

        assert run.status is RunStatus.COMPLETED, run.reason
        first, second = run.jobs
        assert isinstance(first, Settled)
        assert isinstance(second, Settled)
        assert (first.quote.vendor_id, second.quote.vendor_id) == ("near", "far")
        assert isinstance(first.work, Failed)
        assert "silent" in first.work.reason
        assert isinstance(second.work, Completed)
        (file,) = second.files
        assert file.sha256 == hashlib.sha256(result()).hexdigest()
        assert b"".join(world.ports.files.read(file.sha256)) == result()
        assert f"from step {KEPT + 1}" in [entry["content"] for entry in world.observations(run, "job_log")]
        assert (first.quote.amount, second.quote.amount) == (1_000_000, 600_000)  # half of the hour was saved
        world.assert_balanced(run, transfers=2)
        (sale,) = far.ask("sales", "--json")
        assert (sale["state"], sale["exit_code"], sale["usd"]) == ("ended", 0, "0.600000")


def has_checkpoint(run: Run) -> bool:
    return any(isinstance(job, Settled) and job.checkpoint is not None for job in run.jobs)


def ticked(world: World, run: Run, reached: Callable[[Run], bool]) -> Run:
    """The run once it has come so far, ticked as often as it takes."""
    newest = run

    def look() -> bool:
        nonlocal newest
        newest = world.tick(newest)
        return reached(newest)

    eventually(look, otherwise="the run does not get on")
    return newest
