"""A run whose vendors write as much as they may stops buying before its record is too large to be read."""

from dataclasses import replace
from typing import Any

import bson

from gpuagent.adapters.mongo.jobs import job_document
from gpuagent.adapters.mongo.payments import payment_document
from gpuagent.core.indices import is_open, tries_max
from gpuagent.core.model import AT_ONCE_MAX, COUNT_MAX, Job, Run, RunStatus, Settled
from gpuagent.core.record_size import RECORD_MAX, record_bytes
from gpuagent.core.verdict import manifest_max
from gpuagent.core.work import Completed, Failed, JobStatus, Underway, with_metrics
from tests.support.factories import SETTLEMENT, authorization, quote
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, Workshop, report, works

MONGO_MAX = 16 * 1024 * 1024
LONG = "\N{GRINNING FACE}" * 2_000
METRICS = with_metrics({}, [{f"metric {number}": LONG[:200] for number in range(64)}])


def size_of(run: Run) -> int:
    """Bytes of the documents as MongoDB has them."""
    documents = [document(run, job) for document in (job_document, payment_document) for job in run.jobs]
    return sum(len(bson.encode(each)) for each in documents if each)


def sold(number: int, work: Any, header: str) -> Job:
    order = quote(HOUR_PRICE, index=number)
    return Settled(f"{number:024x}", order, 1.0, authorization(HOUR_PRICE), header, SETTLEMENT, work)


def test_the_size_is_that_of_the_documents_or_more_but_not_twice_as_much() -> None:
    world = Workshop()
    plain = Completed("v", 3.0, {"loss": 0.1}, "https://example.org/x", 0)
    works_of = (
        plain,
        Failed(LONG, 3.0, "v"),
        Completed("v", 3.0, METRICS, LONG, 0),
        Underway("v", 1.0, metrics=METRICS),
    )
    for work in works_of:
        run = replace(world.run, count=20, jobs=tuple(sold(number, work, "h" * 700) for number in range(20)))
        assert size_of(run) <= record_bytes(run)
    run = replace(world.run, count=20, jobs=tuple(sold(number, plain, "h" * 700) for number in range(20)))
    assert record_bytes(run) < 3 * size_of(run)
    assert record_bytes(replace(run, jobs=run.jobs * 10)) < RECORD_MAX / 5, "an honest run of 200 is far from it"


def test_what_is_open_then_still_fits() -> None:
    """The most that vendors may write into one job: metrics thrice, an address, a reason, a signed header, and three
    lists of files, all of them in every job that may be open at once."""
    world = Workshop()
    run = replace(world.run, count=COUNT_MAX, jobs_max=tries_max(COUNT_MAX))
    most = sold(1, Completed("v", 3.0, METRICS, LONG, 0), "h" * 16_384)
    open_jobs = tuple(replace(most, job_id=f"{number:024x}") for number in range(AT_ONCE_MAX))
    lists = 3 * manifest_max(run) * AT_ONCE_MAX
    texts = 3 * len(LONG.encode()) * AT_ONCE_MAX
    assert RECORD_MAX + record_bytes(replace(run, jobs=open_jobs)) + lists + texts < MONGO_MAX


def test_it_stops_in_time_and_says_why() -> None:
    """Failures with long words, longer than any vendor may: at the tenth of them nothing more is begun."""
    world = Workshop(a=Seller(works))
    lost = Failed(LONG * 20, 3.0, "v")
    jobs = tuple(sold(number, lost, "h") for number in range(25))
    world.run = replace(world.run, count=COUNT_MAX, jobs_max=tries_max(COUNT_MAX), jobs=jobs, budget=1_000 * HOUR_PRICE)
    assert record_bytes(world.run) > RECORD_MAX
    run = world.ticks(3)
    assert (run.status, len(run.jobs), world.spent) == (RunStatus.FAILED, 25, 0)
    assert "the record of this run has" in run.reason
    assert "start another run for the rest" in run.reason


def test_open_jobs_come_to_their_end() -> None:
    def slow(job: SoldJob) -> Any:
        return works(job) if job.asked > 2 else report(JobStatus.RUNNING)

    world = Workshop(a=Seller(slow))
    world.run = replace(world.run, count=2, jobs_open_max=1, jobs_max=tries_max(2))
    while not any(map(is_open, world.run.jobs)):
        world.ticks(1)
    failed = tuple(
        replace(sold(number, Failed(LONG * 20, 3.0, "v"), "h"), quote=quote(HOUR_PRICE, index=-1))
        for number in range(25)
    )
    world.run = replace(world.run, jobs=(*failed, *world.run.jobs), jobs_max=300, budget=100 * HOUR_PRICE)
    run = world.ticks(20)
    assert run.status is RunStatus.FAILED
    assert run.reason.startswith("1 of 2 jobs are completed; the record of this run has")
