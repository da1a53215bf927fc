"""Several jobs in one run, in memory: each has its number, is replaced where it fails, and all keep to one budget."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.adapters.planners.llm import prompt
from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.agent import market
from gpuagent.agent.dry_run import simulate
from gpuagent.agent.pay import pay
from gpuagent.agent.plan import SHORT_WAITS_MAX
from gpuagent.agent.prices import check_budget, prices
from gpuagent.agent.start import Order, prepare
from gpuagent.core import budget
from gpuagent.core.context import Context, Thought
from gpuagent.core.events import PaymentUnwanted
from gpuagent.core.indices import completed, has_completed, is_open, tries_max
from gpuagent.core.model import COUNT_MAX, Authorization, Authorized, Quote, Run, RunStatus, Settled, Settlement, Vendor
from gpuagent.core.orders import manifest_sha256, order_text
from gpuagent.core.policy import Usage
from gpuagent.core.ports.store import TrackRecord
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
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput, PlannerError, VendorError
from gpuagent.render.as_json import rehearsal_json
from gpuagent.tick import step
from tests.support.factories import candidate, context
from tests.support.workshop import HOUR_PRICE, Script, Seller, SoldJob, Workshop, exits, lost_after, report, works


def numbered(job: SoldJob) -> JobReport:
    """Done at the second look, with its number as a result."""
    if job.asked < 2:
        return report()
    job.files = {"model.npz": f"model {index_of(job)}".encode()}
    return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)


def index_of(job: SoldJob) -> int:
    return int(json.loads(job.order)["workload"]["env"]["GPUAGENT_JOB_INDEX"])


def only(index: int, script: Script, others: Script = numbered) -> Script:
    """Another script for the jobs of one index."""
    return lambda job: script(job) if index_of(job) == index else others(job)


def sweep(count: int = 3, at_once: int = 2, jobs: int = 6, work: dict[str, Any] | None = None, **s: Seller) -> Workshop:
    """jobs: what the budget pays for."""
    world = Workshop(work or {}, **s)
    world.run = replace(
        world.run, count=count, jobs_open_max=at_once, jobs_max=tries_max(count), budget=jobs * HOUR_PRICE
    )
    return world


def bought(run: Run) -> list[tuple[int, str]]:
    return [(job.quote.index, job.quote.vendor_id) for job in run.jobs]


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


def test_a_budget_that_cannot_complete_all_buys_nothing() -> None:
    run = sweep(count=5, jobs=4, a=Seller(numbered), b=Seller(numbered)).ticks()
    assert (run.status, run.jobs) == (RunStatus.FAILED, ())
    rest = "the 5 that are still to be bought cost at least 5.00 USD, at a, and 4.00 USD are left"
    assert run.reason == f"0 of 5 jobs are completed; {rest}"


def test_a_run_that_cannot_complete_the_rest_begins_no_more_and_lets_what_is_open_end() -> None:
    """Two fail at once, so the money for the rest is gone: the third, which is at work, is still followed."""
    fails = only(1, lambda _: report(JobStatus.FAILED, error_message="node lost"))
    world = sweep(count=4, at_once=3, jobs=4, a=Seller(fails), b=Seller(fails))
    run = world.ticks(400)
    assert run.status is RunStatus.FAILED
    rest = "the 2 that are still to be bought cost at least 2.00 USD, at a, and 1.00 USD are left"
    assert run.reason == f"2 of 4 jobs are completed; {rest}"
    assert completed(run) == {0, 2}
    assert budget.available(run) == HOUR_PRICE, "what is left is not spent on a part of what is missing"


def test_what_the_others_cost_is_not_spent_on_a_dear_try() -> None:
    """A planner that would take the dear vendor leaves too little for the others, and is refused."""
    world = sweep(count=3, at_once=1, jobs=4, a=Seller(numbered), b=Seller(numbered))
    context = market.survey(world.run, world.rules, world.ports).context
    assert (context.reserve, context.available) == (2 * HOUR_PRICE, 2 * HOUR_PRICE)
    assert (context.jobs_missing, context.jobs_open, context.at_once) == (3, 0, 1)


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


def orders(**order: Any) -> Order:
    workload = Workload.model_validate({"name": "sweep", "command": "true", **order.pop("work", {})})
    return Order("", 9 * HOUR_PRICE, workload=workload, **order)


def test_an_order_names_its_jobs_in_the_job_file_or_beside_it_and_not_twice() -> None:
    work = {"jobs": {"count": 5, "at_once": 3}}
    assert orders(work=work).several == orders(work=work, count=5, jobs_open_max=3).several == (5, 3)
    assert orders(count=4).several == (4, 1)
    assert orders().several == (1, 1)
    for wrong, words in (
        (orders(work=work, count=4), "the job file asks for 5 jobs, 3 at once"),
        (orders(work=work, jobs_open_max=2), "the job file asks for 5 jobs, 3 at once"),
        (orders(count=201), "a run completes 1 to 200 jobs"),
        (orders(count=0), "a run completes 1 to 200 jobs"),
        (orders(count=2, jobs_open_max=33), "1 to 32 jobs may be open at once"),
        (orders(jobs_open_max=9), "1 to 8 jobs may be open at once"),
    ):
        with pytest.raises(BadInput, match=words):
            _ = wrong.several


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ({"env": {"GPUAGENT_JOB_INDEX": "1"}}, "GPUAGENT_JOB_INDEX is set for each of several jobs"),
        ({"setup": "#" * 40_000}, "would be a record of 12,0"),
        ({"outputs": [{"path": f"{number}.bin"} for number in range(100)]}, "ask for fewer jobs"),
    ],
)
def test_a_job_file_that_is_not_fit_for_several_is_refused_at_the_start(work: dict[str, Any], words: str) -> None:
    world = Workshop(a=Seller(works))
    assert prepare(orders(work=work), world.ports).count == 1
    with pytest.raises(BadInput, match=words):
        prepare(orders(work=work, count=200), world.ports)


def test_a_budget_is_held_against_the_price_of_all_jobs_before_a_run_is_there() -> None:
    world = Workshop(a=Seller(works), b=Seller(works))
    assert prices(orders(count=9), world.ports).shortfall(9 * HOUR_PRICE) == ""
    with pytest.raises(
        BadInput, match=r"9\.00 USD cannot complete 10 jobs: 1 h of A100 each cost at least 10\.00 USD, at a"
    ):
        check_budget(orders(count=10), world.ports)


def test_a_dry_run_says_what_all_jobs_cost() -> None:
    world = sweep(count=4, at_once=2, jobs=4, a=Seller(numbered), b=Seller(numbered))
    rehearsal = simulate(world.run, world.ports)
    assert (
        rehearsal.several
        == "the 4 jobs that are still to be bought cost 4.00 USD at this price, and more where some fail"
    )
    assert rehearsal_json(rehearsal)["costOfAll"] == str(4 * HOUR_PRICE)
    poor = simulate(replace(world.run, budget=3 * HOUR_PRICE), world.ports)
    assert (poor.would_pay, poor.cost_of_all) == (None, 4 * HOUR_PRICE)
    assert "cost at least 4.00 USD, at a, and 3.00 USD are left" in poor.why_not


def test_planners_hear_of_the_others_and_between_equals_choose_who_has_fewer() -> None:
    equal = [candidate("a", HOUR_PRICE, open_jobs=1), candidate("b", HOUR_PRICE)]
    alone, several = context(*equal), context(*equal, jobs_missing=3, jobs_open=1, at_once=2, reserve=HOUR_PRICE)
    assert StubPlanner().decide(alone).decision.vendor_id == "a"
    assert StubPlanner().decide(several).decision.vendor_id == "b"
    assert "several jobs of this kind" not in prompt.write(alone).text
    assert prompt.market(several)["reservedForOthers"] == "1.000000"
    assert "several jobs of this kind" in prompt.write(several).text
    assert Context.from_json(several.as_json()) == several


class OtherPrices:
    """A market whose prices are said by the test. price: of a vendor's quote; raises VendorError for none."""

    def __init__(self, vendor_api: Any, price: Callable[[Vendor, Quote], int]) -> None:
        self._vendor_api, self._price = vendor_api, price

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vendor_api, name)

    def quote(self, vendor: Vendor, *details: Any) -> Quote:
        quote = self._vendor_api.quote(vendor, *details)
        return replace(quote, amount=self._price(vendor, quote))


def test_a_price_that_does_not_follow_the_hours_ends_no_run_that_can_be_completed() -> None:
    """Sellers have fixed prices, or a least one: the rest of a job that goes on costs as much as a whole one."""

    def fails(job: SoldJob) -> JobReport:
        if index_of(job) == 0:
            return lost_after(0.9)(job)
        return report(JobStatus.FAILED if job.asked >= 3 else JobStatus.RUNNING, error_message="node lost")

    world = sweep(count=2, at_once=2, jobs=4, a=Seller(fails), b=Seller(numbered))

    def price(vendor: Vendor, _: Quote) -> int:
        if vendor.vendor_id == "b" and len(world.run.jobs) < 2:
            raise VendorError("no GPU is free")
        return HOUR_PRICE

    world.ports = replace(world.ports, vendor_api=OtherPrices(world.ports.vendor_api, price))
    assert world.ticks(400).status is RunStatus.COMPLETED


def test_a_vendor_that_one_index_alone_is_kept_from_is_still_the_cheapest_for_the_others() -> None:
    """Index 0 is to be confirmed at b, for 5.00; index 1, which was lost at b, may be bought at a, for 1.00."""

    def ends(index: int, **news: Any) -> Callable[[SoldJob], JobReport]:
        def tell(job: SoldJob) -> JobReport:
            if index_of(job) != index:
                return numbered(job)
            return report(JobStatus.FAILED if job.asked >= 15 else JobStatus.RUNNING, **news)

        return tell

    at_b = Seller(ends(1, error_message="node lost"))
    world = sweep(count=2, at_once=2, jobs=12, a=Seller(ends(0, exit_code=1)), b=at_b)

    def price(vendor: Vendor, _: Quote) -> int:
        if vendor.vendor_id == "a" and len(world.run.jobs) == 1:
            raise VendorError("a is down")
        return (1 if vendor.vendor_id == "a" else 5) * HOUR_PRICE

    world.ports = replace(world.ports, vendor_api=OtherPrices(world.ports.vendor_api, price))
    assert world.ticks(400).status is RunStatus.COMPLETED


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


def test_variables_that_leave_no_room_for_the_number_are_refused() -> None:
    job = {"name": "x", "command": "true", "jobs": {"count": 3}, "env": {f"V{number}": "1" for number in range(199)}}
    with pytest.raises(ValueError, match="each of several jobs gets two more"):
        Workload.model_validate(job)


def test_a_run_that_the_caps_can_never_let_complete_pays_for_no_part_of_it() -> None:
    """Six jobs at the one vendor cost 6.00, and the policy lets it have 3.00 in a run."""
    world = sweep(count=6, at_once=1, jobs=10, a=Seller(numbered))
    world.rules = replace(world.rules, vendor_per_run=3 * HOUR_PRICE)
    assert simulate(world.run, world.ports).why_not.startswith("6 jobs are still to be bought, and the caps")
    run = world.ticks(400)
    assert (run.status, run.jobs, world.spent) == (RunStatus.FAILED, (), 0)
    assert run.reason.endswith(
        "6 jobs are still to be bought, and the caps (vendor_per_run) let the vendors have 3 more"
    )


def test_the_caps_of_all_vendors_together_count() -> None:
    """Two of them may have three jobs each: that is all six, and one that is lost is one too many."""
    fails = only(1, lambda job: report(JobStatus.FAILED, error_message="node lost") if job.asked > 12 else report())
    for script, spent in ((numbered, 6), (fails, 6)):
        world = sweep(count=6, at_once=2, jobs=20, a=Seller(script), b=Seller(script))
        world.rules = replace(world.rules, vendor_per_run=3 * HOUR_PRICE)
        run = world.ticks(400)
        assert world.spent == spent * HOUR_PRICE
        assert run.status is (RunStatus.COMPLETED if script is numbered else RunStatus.FAILED)


def test_what_completes_the_jobs_is_not_spent_on_asking() -> None:
    """A budget of just the prices: the planner that costs is not asked, the stub decides, and all is bought."""
    world = sweep(count=3, at_once=1, jobs=3, a=Seller(numbered), b=Seller(numbered))

    class Dear(StubPlanner):
        def decide(self, context: Context, objection: str = "") -> Thought:
            if context.asking_max < 1_000:
                raise PlannerError("too dear to ask")
            return replace(super().decide(context, objection), cost=1_000)

    world.ports = replace(world.ports, planners={"stub": StubPlanner(), "llm": Dear()})
    world.run = replace(world.run, planner="llm", budget=3 * HOUR_PRICE + 2_500)
    run = world.ticks(300)
    assert (run.status, world.spent, run.planner_cost) == (RunStatus.COMPLETED, 3 * HOUR_PRICE, 2_000)


@pytest.mark.parametrize(("budgeted", "completes"), [(12, True), (11, False)])
def test_dear_vendors_that_caps_make_needed_count_at_their_price(budgeted: int, completes: bool) -> None:
    """Two at 1.00 are all that the cap lets the cheap one have, and the other asks 5.00: four cost 12.00."""
    world = sweep(count=4, at_once=1, jobs=budgeted, a=Seller(numbered), b=Seller(numbered))
    inner = world.ports.vendor_api

    class Dearer:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, vendor: Vendor, *details: Any) -> Quote:
            quote = inner.quote(vendor, *details)
            return replace(quote, amount=quote.amount * (5 if vendor.vendor_id == "b" else 1))

    world.ports = replace(world.ports, vendor_api=cast("Any", Dearer()))
    usage = Usage(new_vendors={"a": 0})
    world.rules = replace(world.rules, new_vendor=2 * HOUR_PRICE)
    world.track_record = lambda run, *_: TrackRecord(_used(run, usage), ())  # type: ignore[method-assign]
    run = world.ticks(100)
    assert (run.status is RunStatus.COMPLETED, world.spent > 0) == (completes, completes)
    assert completes or "cost at least 12.00 USD within the caps (new_vendor), and 11.00 USD are left" in run.reason


def _used(run: Run, usage: Usage) -> Usage:
    """With what the run has at vendor a."""
    used = sum(job.quote.amount for job in run.jobs if job.quote.vendor_id == "a")
    return replace(usage, new_vendors={"a": used})


def test_a_tags_total_that_cannot_pay_for_all_pays_for_none() -> None:
    world = sweep(count=4, jobs=9, a=Seller(numbered))
    world.run, world.rules = replace(world.run, tags=("x",)), replace(world.rules, tag_totals={"x": 3 * HOUR_PRICE})
    run = world.ticks(300)
    assert (run.status, run.jobs) == (RunStatus.FAILED, ())
    assert run.reason.endswith("cost at least 4.00 USD, and the totals of the run's tags leave 3.00 USD")


def test_what_another_run_only_holds_of_a_tags_total_is_waited_for() -> None:
    """3.00 of 6.00 are another run's, whose authorization dies unused after two minutes: four jobs fit then."""
    world = sweep(count=4, jobs=9, a=Seller(numbered))
    world.run, world.rules = replace(world.run, tags=("x",)), replace(world.rules, tag_totals={"x": 6 * HOUR_PRICE})

    def usage(run: Run) -> Usage:
        own = sum(job.quote.amount for job in run.jobs)
        return Usage(tags={"x": own + (3 * HOUR_PRICE if world.at < 1_120 else 0)})

    world.track_record = lambda run, *_: TrackRecord(usage(run), ())  # type: ignore[method-assign]
    run = world.ticks(100)
    assert (run.status, run.jobs) == (RunStatus.RUNNING, ())
    assert world.ticks(400).status is RunStatus.COMPLETED
