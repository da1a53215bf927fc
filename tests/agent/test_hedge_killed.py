"""A hedged run on the real database, chain and vendors: killed at every step of a hedge, and ticked by four at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gpuagent.core import budget
from gpuagent.core.hedging import unhedgeable
from gpuagent.core.indices import has_completed, is_open, is_pair
from gpuagent.core.model import Hedging, Run, RunStatus, Settled
from gpuagent.core.steps import is_over
from gpuagent.core.work import Failed, JobEnding, Underway
from gpuagent.errors import GpuAgentError
from tests.support.attacks import FIRST
from tests.support.crash import tick_until_killed
from tests.support.evidence import stored_headers
from tests.support.world import World

AFTER_S = 300
TICKS_MAX = 60


def test_each_index_is_completed_once_and_the_books_equal_the_chain(world: World) -> None:
    """Ticks die while a hedge is reserved, signed, sent and answered; then four tick at once until all is over."""
    world.market.fault(FIRST, "stuck")
    run = world.start(20, count=2, jobs_open_max=2, hedge_after=AFTER_S)
    run = world.tick(run)
    assert all(isinstance(job, Settled) and isinstance(job.work, Underway) for job in run.jobs)
    late = [job for job in run.jobs if job.quote.vendor_id == FIRST]
    assert late
    world.market.pass_time(max(job.quote.eta_s for job in late) + AFTER_S)
    for point in ("after_reserve", "before_store", "after_send", "after_response"):
        run = tick_until_killed(world, run, point)
        assert_in_bounds(run)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(TICKS_MAX):
            list(pool.map(lambda _: ticked(world, run), range(4)))  # noqa: B023 - the run's id does not change
            run = world.store.load(run.run_id)
            assert_in_bounds(run)
            if is_over(run):
                break
            world.market.work()
    assert (run.status, run.reason, is_over(run)) == (RunStatus.COMPLETED, "all 2 jobs are completed", True)
    assert Counter(job.quote.index for job in run.jobs if has_completed(job)) == {0: 1, 1: 1}
    hedges = [job for job in run.jobs if job.quote.hedges]
    assert {job.quote.hedges for job in hedges} == {job.job_id for job in late}
    assert FIRST not in {job.quote.vendor_id for job in hedges}
    superseded = [job for job in run.jobs if isinstance(job, Settled) and isinstance(job.work, Failed)]
    assert {job.work.ending for job in superseded if isinstance(job.work, Failed)} == {JobEnding.SUPERSEDED}
    paid = [job for job in run.jobs if isinstance(job, Settled)]
    world.assert_balanced(run, transfers=len(paid))
    assert len(stored_headers(world, run)) == len(paid)
    reasons = [str(entry["content"]) for entry in world.observations(run, "agent_reasoning")]
    assert sum(text.startswith(f"hedge: {FIRST} is late by ") for text in reasons) == len(hedges)
    assert all(unhedgeable(run, job, 1e12) for job in run.jobs)


def test_a_hedged_run_is_read_as_it_was_stored(world: World) -> None:
    world.market.fault(FIRST, "stuck")
    plain = world.store.load(world.start().run_id)
    assert plain.hedging == Hedging()
    assert "hedging" not in world.reads.documents(plain.run_id)["runs"][0]
    run = world.tick(world.start(hedge_after=AFTER_S))
    world.market.pass_time(run.jobs[0].quote.eta_s + AFTER_S)
    run = world.tick(run)
    assert run == world.store.load(run.run_id)
    documents = world.reads.documents(run.run_id)
    assert documents["runs"][0]["hedging"]["afterSeconds"] == AFTER_S
    (hedge,) = [job for job in documents["jobs"] if "hedges" in job]
    assert str(hedge["hedges"]) == run.jobs[0].job_id
    world.market.work()
    run = world.finish(run)
    assert run == world.store.load(run.run_id)
    past = world.store.past_jobs(plain, world.ports.wallet.token.network, [job.quote.vendor_id for job in run.jobs], 9)
    assert [job.vendor_id for job in past] == [run.jobs[1].quote.vendor_id], "what was superseded says nothing"


def test_what_is_declined_and_waited_for_is_kept(world: World) -> None:
    world.market.fault(FIRST, "stuck")
    run = world.tick(world.start(hedge_after=AFTER_S, vendor_ids=(FIRST,)))
    world.market.pass_time(run.jobs[0].quote.eta_s + AFTER_S)
    run = world.tick(run)
    assert run.hedging.declined == (run.jobs[0].job_id,)
    assert world.store.load(run.run_id) == run


def ticked(world: World, run: Run) -> None:
    with suppress(GpuAgentError):  # another tick was faster; what matters is what is stored
        world.tick(run)


def assert_in_bounds(run: Run) -> None:
    """What holds at every moment, as any reader of the database sees it."""
    assert budget.available(run) >= 0
    for index in range(run.count):
        open_jobs = [job for job in run.jobs if job.quote.index == index and is_open(job)]
        assert len(open_jobs) <= 2
        assert len(open_jobs) < 2 or is_pair(*open_jobs)
