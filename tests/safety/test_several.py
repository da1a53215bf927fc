"""Several jobs in one run, against the real database, chain and vendors: killed, raced, with a vendor that cheats."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from gpuagent.core import budget
from gpuagent.core.indices import has_completed
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.steps import is_over
from gpuagent.core.work import Failed, FileKind
from gpuagent.core.workload import Workload
from gpuagent.errors import GpuAgentError
from tests.conftest import SafetyNote
from tests.support.attacks import FIRST
from tests.support.crash import tick_until_killed
from tests.support.evidence import stored_headers
from tests.support.world import World

DEADLINE_S = 300.0
SWEEP = Workload.model_validate(
    {
        "name": "sweep",
        "command": 'printf "result $GPUAGENT_JOB_INDEX of $GPUAGENT_JOB_COUNT" > result.txt; sleep 0.2',
        "outputs": [{"path": "result.txt", "max_bytes": "1kB"}],
        "jobs": {"count": 3, "at_once": 2},
    }
)


@pytest.mark.safety("several jobs in one run")
def test_each_job_is_completed_once_whoever_dies_and_however_many_tick(world: World, safety_note: SafetyNote) -> None:
    """Ticks die by SIGKILL with a signature in the air, then four tick at once, and the first vendor keeps its results.

    What it was paid for is bought elsewhere; all three results are there, proven and apart; the books equal the chain.
    """
    world.market.fault(FIRST, "missing_output")
    run = world.start(20, workload=SWEEP)
    for point in ("before_store", "after_send", "after_response"):
        run = tick_until_killed(world, run, point)
        assert budget.available(run) >= 0
    ends_at = time.monotonic() + DEADLINE_S
    with ThreadPoolExecutor(4) as pool:
        while not is_over(run):
            assert time.monotonic() < ends_at, f"not over: {run}"
            list(pool.map(lambda _: ticked(world, run), range(4)))  # noqa: B023 - the run's id does not change
            run = world.store.load(run.run_id)
            assert_in_bounds(run)
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "all 3 jobs are completed")
    jobs = [job for job in run.jobs if isinstance(job, Settled)]
    world.assert_balanced(run, transfers=len(jobs))
    assert len(stored_headers(world, run)) == len(jobs)
    failed = [job.quote for job in jobs if isinstance(job.work, Failed)]
    assert {quote.vendor_id for quote in failed} == {FIRST}, "it kept a result, and another vendor was paid for it"
    done = [job for job in jobs if has_completed(job)]
    results = {}
    for job in done:
        (file,) = [file for file in job.files if file.kind is FileKind.OUTPUT]
        results[job.quote.index] = b"".join(world.ports.files.read(file.sha256))
    assert results == {index: f"result {index} of 3".encode() for index in range(3)}
    assert len(done) == 3
    documents = sorted(world.reads.documents(run.run_id)["jobs"], key=lambda job: int(job["ordinal"]))
    assert [document["index"] for document in documents] == [job.quote.index for job in run.jobs]
    safety_note(f"3 jobs completed once each, {len(failed)} replaced, {len(jobs)} transfers; nothing is held")


def ticked(world: World, run: Run) -> None:
    with suppress(GpuAgentError):  # another tick was faster; what matters is what is stored
        world.tick(run)


def assert_in_bounds(run: Run) -> None:
    """What holds at every moment, as any reader of the database sees it."""
    assert budget.available(run) >= 0
    paid = Counter(job.quote.index for job in run.jobs if isinstance(job, Settled) and not isinstance(job.work, Failed))
    assert max(paid.values(), default=0) <= 1, "no index is paid again that has not failed"
    assert (run.status is RunStatus.COMPLETED) == (len({j.quote.index for j in run.jobs if has_completed(j)}) == 3)
