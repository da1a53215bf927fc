"""Two tickers at one run with a workload, in memory: each job is paid once, and what is kept is what it wrote."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.core import budget
from gpuagent.core.indices import completed, has_completed, is_open, tries_max
from gpuagent.core.model import RunStatus, Settled
from gpuagent.core.pace import Pace
from gpuagent.core.steps import Authorize, Deliver, is_over, next_steps
from gpuagent.core.work import Completed, FileKind, JobReport, JobStatus
from tests.support.step_ticker import Ticker
from tests.support.workshop import PART, Seller, SoldJob, Workshop, exits, lost_after, report

INPUT = b"i" * (2 * PART + 1)
INPUT_SHA256 = hashlib.sha256(INPUT).hexdigest()
WORK = {
    "inputs": [{"path": "input.bin", "sha256": INPUT_SHA256, "bytes": len(INPUT)}],
    "on_exit": {75: "retry"},
}


def writes(job: SoldJob) -> JobReport:
    """Done at the first look, with more than one tick fetches."""
    job.files = {"model.npz": (b"model of " + job.name.encode()).ljust(2 * PART + 1, b".")}
    return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)


def changes_its_list(job: SoldJob) -> JobReport:
    """Done, with another content whenever it is asked, and while it is read."""
    job.files = {"model.npz": (b"model of %s at %d" % (job.name.encode(), job.asked)).ljust(2 * PART + 1, b".")}
    return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)


@pytest.mark.parametrize("count", [1, 3])
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_two_ticks_at_once_pay_each_job_once_and_keep_what_it_wrote(count: int, data: st.DataObject) -> None:
    """They make steps in any order, of any age, are killed before they save, and vendors change what they list.

    Of a run with several jobs none is bought again that is open or done, and the last of them ends it.
    """
    scripts = st.sampled_from([writes, changes_its_list, lost_after(0.4), exits(1), exits(75)])
    sellers = {name: Seller(data.draw(scripts, name)) for name in "abc"}
    world = Workshop(WORK, **sellers)
    world.files.put(INPUT)
    world.ports = replace(world.ports, pace=Pace(share_bytes=PART))
    at_once = data.draw(st.sampled_from([1, 2]), "jobs at once")
    world.run = replace(world.run, count=count, jobs_max=tries_max(count), jobs_open_max=at_once)
    tickers = [Ticker(world, world.run), Ticker(world, world.run)]
    moves = iter(data.draw(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=120)))
    for turn in range(2_000):
        if is_over(world.run):
            break
        second, number, killed = next(moves, (bool(turn % 2), turn // 2, False))
        tickers[second].make(number, killed)
        world.at += 0.5
        if count > 1:
            open_now = Counter(job.quote.index for job in world.run.jobs if is_open(job) and not world.has_ended)
            assert max(open_now.values(), default=0) <= 1
            assert open_now.total() <= at_once
            assert not completed(world.run) & set(open_now)
    assert is_over(world.run)
    assert (world.run.status is RunStatus.COMPLETED) == (len(completed(world.run)) == count)
    assert Counter(job.quote.index for job in world.run.jobs if has_completed(job)).total() <= max(count, at_once)
    paid = [job for job in world.run.jobs if isinstance(job, Settled)]
    assert world.spent == sum(job.quote.amount for job in paid) == budget.settled(world.run)
    assert len(world.settled) == len(paid)
    for job in paid:
        assert world.sellers[job.quote.vendor_id].inputs[INPUT_SHA256] == INPUT, "paid before it could begin"
        for file in job.files:
            content = world.files.contents[file.sha256]
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (file.sha256, file.bytes)
            if file.kind is FileKind.OUTPUT:
                assert content.startswith(f"model of {job.quote.vendor_id}-{job.job_id}".encode())
        if isinstance(job.work, Completed):
            assert [file.path for file in job.files if file.kind is FileKind.OUTPUT] == ["model.npz"]


def test_trust_that_ends_after_the_reservation_ends_the_purchase() -> None:
    """Neither files nor secrets go to a vendor whom its owner has ceased to trust meanwhile."""
    for work, due in (({"secrets": ["HF_TOKEN"]}, Authorize), ({**WORK, "secrets": ["HF_TOKEN"]}, Deliver)):
        world = Workshop(work, a=Seller(writes))
        world.files.put(INPUT)
        world.trusted = frozenset("a")
        ticker = Ticker(world, world.run)
        ticker.make(0, killed=False)
        assert isinstance(next_steps(world.run, world.at)[0], due)
        world.trusted = frozenset()
        assert world.ticks().status is RunStatus.FAILED
        assert (world.spent, world.sellers["a"].inputs) == (0, {})


def test_an_inputs_bytes_go_to_those_whom_the_policy_means() -> None:
    world = Workshop(WORK, a=Seller(writes), b=Seller(writes))
    world.files.put(INPUT)
    world.rules, world.trusted = replace(world.rules, inputs_to="trusted"), frozenset("b")
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.sellers["a"].inputs == {}
    assert [job.quote.vendor_id for job in world.run.jobs] == ["b"]
