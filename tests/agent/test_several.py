"""Several jobs in one run, in memory: each has its number, is replaced where it fails, and all keep to one budget."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from gpuagent.adapters.planners.llm import prompt
from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.agent import market
from gpuagent.agent.pay import pay
from gpuagent.agent.plan import SHORT_WAITS_MAX
from gpuagent.core import budget
from gpuagent.core.context import Context
from gpuagent.core.events import PaymentUnwanted
from gpuagent.core.indices import has_completed, is_open, tries_max
from gpuagent.core.model import COUNT_MAX, Authorization, Authorized, Quote, RunStatus, Settled, Settlement, Vendor
from gpuagent.core.orders import manifest_sha256, order_text
from gpuagent.core.resume import resumed_from
from gpuagent.core.steps import Plan, next_steps
from gpuagent.core.work import (
    CheckpointOffer,
    Completed,
    Failed,
    Fault,
    FileEntry,
    FileKind,
    JobReport,
    JobStatus,
    Owed,
    with_metrics,
)
from gpuagent.errors import VendorError
from gpuagent.tick import step
from tests.support.factories import candidate, context
from tests.support.numbered_jobs import OtherPrices, bought, numbered, only, sweep
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, Workshop, exits, lost_after, report, works


def test_each_job_gets_its_number_and_leaves_files_of_its_own() -> None:
    world = sweep(a=Seller(numbered), b=Seller(numbered))
    run = world.ticks()
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "all 3 jobs are completed")
    assert sorted(index for index, _ in bought(run)) == [0, 1, 2]
    assert world.spent == budget.settled(run) == 3 * HOUR_PRICE
    for job in run.jobs:
        assert isinstance(job, Settled)
        (file,) = [file for file in job.files if file.kind is FileKind.OUTPUT]
        assert world.files.contents[file.sha256] == f"model {job.quote.index}".encode()
    orders = [json.loads(job.quote.order)["workload"]["env"] for job in run.jobs]
    assert sorted(env["GPUAGENT_JOB_INDEX"] for env in orders) == ["0", "1", "2"]
    assert {env["GPUAGENT_JOB_COUNT"] for env in orders} == {"3"}


def test_no_more_are_open_than_were_asked_for_and_equal_vendors_share_them() -> None:
    world = sweep(count=4, at_once=3, **{name: Seller(numbered) for name in "abc"})
    most = 0
    while not world.has_ended:
        step(world.run.run_id, world.ports)
        world.at += 1
        most = max(most, sum(map(is_open, world.run.jobs)))
    assert most == 3
    assert sorted(vendor for _, vendor in bought(world.run)[:3]) == ["a", "b", "c"]


def test_a_failed_job_is_replaced_elsewhere_and_the_others_are_not() -> None:
    crashes = only(1, lambda _: report(JobStatus.FAILED, error_message="node lost"))
    world = sweep(a=Seller(crashes), b=Seller(numbered))
    run = world.ticks()
    assert run.status is RunStatus.COMPLETED
    tried = Counter(index for index, _ in bought(run))
    assert (tried[0], tried[2]) == (1, 1)
    assert [vendor for index, vendor in bought(run) if index == 1][-1] == "b"
    assert sorted(job.quote.index for job in run.jobs if has_completed(job)) == [0, 1, 2]


def test_a_checkpoint_is_gone_on_from_by_the_job_of_its_own_index_alone() -> None:
    world = sweep(at_once=1, a=Seller(only(0, lost_after(0.5))), b=Seller(numbered))
    run = world.ticks()
    assert run.status is RunStatus.COMPLETED
    assert [index for index, _ in bought(run)] == [0, 1, 2, 0], "the checkpoint was there when the others were bought"
    resumed = [job.quote for job in run.jobs if resumed_from(job.quote)]
    assert {quote.index for quote in resumed} == {0}
    assert {str(quote.max_hours) for quote in resumed} == {"0.50"}
    assert all(job.quote.max_hours == 1 for job in run.jobs if job.quote.index)


def test_vendors_that_are_silent_are_waited_for_before_a_run_is_stopped() -> None:
    """The others are too dear for all; one that gives no quote now might not be. Not for ever."""
    world = sweep(count=3, jobs=5, a=Seller(numbered), b=Seller(numbered))
    inner = world.ports.vendor_api

    class Market:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, vendor: Any, *details: Any) -> Any:
            if vendor.vendor_id == "a":
                raise VendorError("a is down")
            quote = inner.quote(vendor, *details)
            return replace(quote, amount=2 * quote.amount)

    world.ports = replace(world.ports, vendor_api=Market())  # type: ignore[arg-type]
    run = world.ticks(90)
    assert (run.status, run.waits, run.jobs) == (RunStatus.RUNNING, 2, ())
    run = world.ticks(60 * SHORT_WAITS_MAX)
    assert run.status is RunStatus.FAILED
    assert "cost at least 6.00 USD, at b, and 5.00 USD are left" in run.reason


def test_a_program_that_never_ends_well_costs_no_more_than_the_first_jobs() -> None:
    """Each index might fail by its own input; while none has completed they are one program that is broken."""
    world = sweep(count=20, at_once=2, jobs=60, a=Seller(exits(1, "no such file")), b=Seller(exits(1)))
    run = world.ticks(200)
    assert run.status is RunStatus.FAILED
    assert len(run.jobs) == 2
    assert run.reason.startswith("0 of 20 jobs are completed; the work ended 2 times in the same way")
    faults = {job.work.fault for job in run.jobs if isinstance(job, Settled) and isinstance(job.work, Failed)}
    assert faults == {Fault.PROGRAM}


def test_one_index_whose_program_fails_twice_ends_the_buying_and_says_which() -> None:
    fails = only(2, exits(3, "diverged"))
    run = sweep(count=4, at_once=1, jobs=20, a=Seller(fails), b=Seller(fails)).ticks(200)
    assert run.status is RunStatus.FAILED
    assert run.reason.startswith("3 of 4 jobs are completed; job 2: the work ended 2 times in the same way")
    assert [vendor for index, vendor in bought(run) if index == 2] in (["a", "b"], ["b", "a"]), "the other confirms it"


def test_an_index_that_is_tried_too_often_ends_the_buying() -> None:
    crashes = only(0, lambda _: report(JobStatus.FAILED, error_message="node lost"))
    world = sweep(count=2, at_once=1, jobs=40, **{name: Seller(crashes) for name in "abcdefghij"})
    world.run = replace(world.run, jobs_max=30)
    run = world.ticks(3_000)
    assert run.status is RunStatus.FAILED
    assert len([1 for index, _ in bought(run) if index == 0]) == 8
    assert run.reason == "1 of 2 jobs are completed; job 0 was tried 8 times, and no more tries are left for it"


def test_a_run_with_one_job_is_ordered_and_planned_as_before() -> None:
    world = Workshop(a=Seller(works))
    context = market.survey(world.run, world.rules, world.ports).context
    assert not {"reserve", "jobs_missing", "jobs_open", "at_once"} & set(context.as_json())
    assert "open_jobs" not in context.as_json()["candidates"][0]  # type: ignore[index]
    assert order_text(world.run.workload, None) == '{"workload":' + world.run.workload + "}"
    assert next_steps(world.run, world.at) == (Plan(),)


def test_many_jobs_are_completed_in_a_few_ticks() -> None:
    world = sweep(count=60, at_once=32, jobs=70, a=Seller(numbered), b=Seller(numbered))
    run = world.ticks(9)
    assert run.status is RunStatus.COMPLETED
    assert len(run.jobs) == 60


def test_a_payment_whose_index_is_done_already_is_not_sent() -> None:
    """As after a payment that was adopted: its job, which the ledger had given up, completes after all."""
    world = sweep(a=Seller(numbered), b=Seller(numbered))
    while not any(isinstance(job, Authorized) for job in world.run.jobs):
        step(world.run.run_id, world.ports)
    assert world.settled == {}
    signed = next(job for job in world.run.jobs if isinstance(job, Authorized))
    late = Settled("f" * 24, *_as_paid(signed), Completed("late", world.at))
    world.run = replace(world.run, jobs=(*world.run.jobs, late))
    assert pay(world.run, signed.job_id, world.ports) == PaymentUnwanted(signed.job_id, "0x" + "c" * 64)
    assert world.settled == {}


def _as_paid(job: Authorized) -> tuple[Quote, float, Authorization, str, Settlement]:
    return job.quote, 1.0, replace(job.authorization, nonce="0x" + "9" * 64), "signed", Settlement("0x", 7, 1)


def test_a_checkpoint_with_a_long_list_of_files_is_not_kept_beside_many_jobs() -> None:
    """All jobs of a run are read as one document: two hundred lists have the room that eight had before."""
    files = tuple(FileEntry(f"shard-{number}", 1, "a" * 64) for number in range(40))
    offer = CheckpointOffer(manifest_sha256(files), files)
    for count, words in ((1, "a has no file shard-0"), (200, "characters, and 3495 are kept beside so many jobs")):
        world = sweep(count=count, jobs=250, a=Seller(lambda _: report(checkpoint=offer)))
        world.ticks(1)
        lost = [entry.content for entry in world.observations if entry.data.get("kind") == "checkpoint lost"]
        assert words in lost[0]


def test_slow_quotes_of_the_next_jobs_do_not_hold_up_those_that_are_bought() -> None:
    """A tick ends once its time is over: the rest is planned in the next one."""
    world = sweep(count=9, at_once=9, jobs=10, a=Seller(numbered), b=Seller(numbered))
    world.quote_s = 6.0
    world.ticks(1)
    assert len(world.run.jobs) == 2, "12 s each, of 20 s"
    assert all(isinstance(job, Settled) for job in world.run.jobs)
    assert world.ticks(20).status is RunStatus.COMPLETED


def test_planners_hear_of_the_others_and_between_equals_choose_who_has_fewer() -> None:
    equal = [candidate("a", HOUR_PRICE, open_jobs=1), candidate("b", HOUR_PRICE)]
    alone, several = context(*equal), context(*equal, jobs_missing=3, jobs_open=1, at_once=2, reserve=HOUR_PRICE)
    assert StubPlanner().decide(alone).decision.vendor_id == "a"
    assert StubPlanner().decide(several).decision.vendor_id == "b"
    assert "several jobs of this kind" not in prompt.write(alone).text
    assert prompt.market(several)["reservedForOthers"] == "1.000000"
    assert "several jobs of this kind" in prompt.write(several).text
    assert Context.from_json(several.as_json()) == several


def test_a_vendor_that_keeps_the_results_of_two_jobs_at_once_is_no_program_that_fails() -> None:
    """Both were bought before either had ended; what comes after is bought elsewhere, until a job has completed."""

    def keeps(_: SoldJob) -> JobReport:
        return report(JobStatus.COMPLETED, exit_code=0)

    world = sweep(count=3, at_once=2, jobs=20, a=Seller(keeps), b=Seller(numbered))

    def price(vendor: Vendor, quote: Quote) -> int:
        return quote.amount // 2 if vendor.vendor_id == "a" else quote.amount

    world.ports = replace(world.ports, vendor_api=OtherPrices(world.ports.vendor_api, price))
    run = world.ticks(200)
    assert [vendor for _, vendor in bought(run)][:2] == ["a", "a"]
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "all 3 jobs are completed")


def test_a_night_without_an_approver_does_not_end_a_run() -> None:
    world = sweep(count=20, at_once=20, jobs=40, a=Seller(numbered), b=Seller(numbered))
    world.rules = replace(world.rules, approval_above=0)
    world.ticks(1)
    world.at += 700  # longer than a quote is valid
    assert world.ticks(2).status is RunStatus.RUNNING


def test_what_vendors_say_of_many_jobs_keeps_the_run_readable() -> None:
    """All jobs of a run are read as one document, which has 16 MB at most."""
    fat = {f"{chr(0x1F600) * 60}{number:03}": chr(0x1F600) * 200 for number in range(32)}
    metrics = with_metrics(with_metrics({}, [fat]), [{f"r{name}": value for name, value in fat.items()}])
    assert len(str(metrics).encode()) * 3 * tries_max(COUNT_MAX) < 8_000_000
    assert with_metrics({}, [{"loss": 1.5}, {"loss": 1.25, "step": 3}]) == {"loss": 1.25, "step": 3}


def test_a_payment_whose_index_is_paid_already_is_not_sent() -> None:
    world = sweep(a=Seller(numbered), b=Seller(numbered))
    while not any(isinstance(job, Authorized) for job in world.run.jobs):
        step(world.run.run_id, world.ports)
    signed = next(job for job in world.run.jobs if isinstance(job, Authorized))
    adopted = Settled("f" * 24, *_as_paid(signed), Owed(world.at))
    world.run = replace(world.run, jobs=(*world.run.jobs, adopted))
    assert isinstance(pay(world.run, signed.job_id, world.ports), PaymentUnwanted)
    assert world.settled == {}
