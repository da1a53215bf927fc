"""Runs with a workload, in memory: files come back proven, the rest resumes elsewhere, and a bug is bought twice."""

import hashlib
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.agent.save import save_event
from gpuagent.core import budget
from gpuagent.core.events import RunCancelled
from gpuagent.core.model import RunStatus, Settled
from gpuagent.core.pace import Pace
from gpuagent.core.steps import Collect, is_over, next_steps
from gpuagent.core.transitions import apply
from gpuagent.core.work import Completed, Failed, Fault, FileEntry, FileKind, JobEnding, JobReport, JobStatus
from gpuagent.errors import VendorBusy, VendorError
from gpuagent.tick import perform
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, Workshop, entry, exits, lost_after, report, works


def endings(world: Workshop) -> list[str]:
    return [type(job.work).__name__ if isinstance(job, Settled) else type(job).__name__ for job in world.run.jobs]


def failures(world: Workshop) -> list[Failed]:
    return [job.work for job in world.run.jobs if isinstance(job, Settled) and isinstance(job.work, Failed)]


def test_files_come_back_proven() -> None:
    world = Workshop(a=Seller())
    run = world.ticks()
    assert run.status is RunStatus.COMPLETED
    (job,) = run.jobs
    assert isinstance(job, Settled)
    (file,) = job.files
    assert (file.path, file.kind, world.files.contents[file.sha256]) == (
        "model.npz",
        FileKind.OUTPUT,
        b"model of a-" + job.job_id.encode(),
    )
    assert isinstance(job.work, Completed)
    assert job.work.exit_code == 0


def test_a_large_file_takes_several_ticks_and_goes_on_where_it_stopped() -> None:
    content = b"x" * 2_500_000

    def look(job: SoldJob) -> JobReport:
        job.files = {"model.npz": content}
        return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)

    world = Workshop(a=Seller(look))
    world.ports = replace(world.ports, pace=Pace(share_bytes=2**20))
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.sellers["a"].read_from == [0, 2**20, 2 * 2**20]


def test_the_rest_is_bought_elsewhere_from_the_checkpoint() -> None:
    world = Workshop(a=Seller(lost_after(0.5)), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    first, second = world.run.jobs
    assert isinstance(first, Settled)
    assert first.checkpoint
    assert first.checkpoint.fraction == 0.5
    assert second.quote.max_hours == Decimal("0.5")
    assert f'"sha256":"{first.checkpoint.sha256}"' in second.quote.order
    assert world.spent == 1.5 * HOUR_PRICE
    assert failures(world)[0].fault is Fault.VENDOR


def test_a_program_that_failed_is_no_completed_work_whatever_its_vendor_calls_it() -> None:
    """Its last checkpoint is kept, its outputs are not: whoever is paid for any end of a program calls it completed."""

    def ends(job: SoldJob) -> JobReport:
        job.files, job.checkpoint = {"model.npz": b"half"}, {"progress.json": b'{"fraction": 0.5}'}
        return report(JobStatus.COMPLETED, exit_code=9, logs=("no data",), files=job.manifest, checkpoint=job.offer)

    world = Workshop(a=Seller(ends), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    first, second = world.run.jobs
    assert isinstance(first, Settled)
    assert isinstance(first.work, Failed)
    assert (first.work.exit_code, first.work.reason) == (9, "exit code 9: no data")
    assert {file.kind for file in first.files} == {FileKind.CHECKPOINT}
    assert second.quote.max_hours == Decimal("0.5")


@pytest.mark.parametrize("open_jobs", [1, 3])
@pytest.mark.parametrize("vendors", [1, 2, 5])
def test_a_program_that_always_fails_costs_two_purchases(vendors: int, open_jobs: int) -> None:
    sellers = {f"v{n}": Seller(exits(1, "Traceback", "ValueError: no data")) for n in range(vendors)}
    world = Workshop({}, **sellers)
    world.run = replace(world.run, jobs_open_max=open_jobs)
    run = world.ticks()
    assert run.status is RunStatus.FAILED
    assert len(run.jobs) == 2
    assert world.spent == 2 * HOUR_PRICE
    assert "ValueError: no data" in run.reason
    assert {failure.fault for failure in failures(world)} == {Fault.PROGRAM}
    if vendors > 1 and open_jobs == 1:
        assert len({job.quote.vendor_id for job in run.jobs}) == 2


def test_a_vendor_that_names_an_exit_code_which_no_other_sees_is_blamed() -> None:
    world = Workshop(a=Seller(exits(1)), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    (failure,) = failures(world)
    assert (failure.exit_code, failure.fault) == (1, Fault.VENDOR)


def test_on_exit_says_what_a_code_means() -> None:
    stop = Workshop({"on_exit": {3: "stop"}}, a=Seller(exits(3)), b=Seller())
    assert stop.ticks().status is RunStatus.FAILED
    assert len(stop.run.jobs) == 1
    retry = Workshop({"on_exit": {75: "retry"}}, **{f"v{n}": Seller(exits(75)) for n in range(4)})
    assert retry.ticks(200).status is RunStatus.FAILED
    assert len(retry.run.jobs) > 2


def test_completed_and_something_else_delivered_is_a_failure_of_its_vendor() -> None:
    def lies(job: SoldJob) -> JobReport:
        job.files = {"model.npz": b"a web page"[:9]}
        return report(JobStatus.COMPLETED, exit_code=0, files=(entry("model.npz", b"the model"),))

    world = Workshop(a=Seller(lies), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    (failure,) = failures(world)
    assert failure.fault is Fault.VENDOR
    assert "does not deliver what it listed" in failure.reason
    assert not any(content.startswith(b"a web") for content in world.files.contents.values())


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (report(JobStatus.COMPLETED, exit_code=0), "there is no model.npz"),
        (report(JobStatus.COMPLETED), "there is no model.npz"),
        (report(JobStatus.COMPLETED, exit_code=0, files=(FileEntry("model.npz", 10**12, "a" * 64),)), "are allowed"),
    ],
)
def test_what_was_not_delivered_is_said(seen: JobReport, why: str) -> None:
    world = Workshop(a=Seller(lambda _: seen), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    assert why in failures(world)[0].reason


def test_the_users_test_counts_not_the_vendors_word() -> None:
    def learned(loss: float) -> Seller:
        def look(job: SoldJob) -> JobReport:
            works(job)
            return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest, metrics=({"step": 1, "loss": loss},))

        return Seller(look)

    world = Workshop({"success": {"metric": {"name": "loss", "at_most": "2.2"}}}, a=learned(2.5), b=learned(2.1))
    assert world.ticks().status is RunStatus.COMPLETED
    assert "loss is 2.5, above 2.2" in failures(world)[0].reason


def test_time_that_ended_without_a_checkpoint_ends_the_run() -> None:
    def slow(job: SoldJob) -> JobReport:
        over = job.asked > 2
        return report(JobStatus.FAILED if over else JobStatus.RUNNING, error_message="deadline", progress=0.4)

    world = Workshop(a=Seller(slow), b=Seller(slow))
    world.ticks(2)
    world.at += 3600
    run = world.ticks()
    assert run.status is RunStatus.FAILED
    assert len(run.jobs) == 1
    assert "max_duration (3600 s) was too short" in run.reason
    assert failures(world)[0].fault is Fault.TIME


def test_a_checkpoint_that_jumps_to_the_end_costs_a_minute_and_is_not_used_again() -> None:
    def resumed_fails(job: SoldJob) -> JobReport:
        return exits(1)(job) if '"resume"' in job.order else works(job)

    world = Workshop(
        a=Seller(lost_after(1.0)),
        b=Seller(resumed_fails),
        c=Seller(resumed_fails),
    )
    assert world.ticks().status is RunStatus.COMPLETED
    hours = [job.quote.max_hours for job in world.run.jobs]
    assert hours == [1, Decimal("0.02"), 1]


def test_a_vendor_that_delivers_nothing_is_left_after_a_while() -> None:
    world = Workshop(a=Seller(reading=[VendorError("a does not answer")] * 400), b=Seller())
    world.ticks(3)
    assert endings(world) == ["Collecting"]
    world.at += 301
    assert world.ticks().status is RunStatus.COMPLETED
    assert "not delivered in time: a does not answer" in failures(world)[0].reason


def test_a_busy_vendor_delivers_later() -> None:
    world = Workshop(a=Seller(reading=[VendorBusy("come again")] * 5))
    assert world.ticks().status is RunStatus.COMPLETED
    assert endings(world) == ["Completed"]


def test_inputs_are_with_the_vendor_before_it_is_paid() -> None:
    content = b"w" * 2_500_000
    sha256 = hashlib.sha256(content).hexdigest()
    world = Workshop({"inputs": [{"path": "weights.bin", "sha256": sha256, "bytes": len(content)}]}, a=Seller())
    world.files.put(content)
    world.ports = replace(world.ports, pace=Pace(share_bytes=2**20))
    world.ticks(2)
    assert (endings(world), world.spent) == (["Reserved"], 0)
    assert 0 < len(world.sellers["a"].inputs[sha256]) < len(content)
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.sellers["a"].inputs[sha256] == content


def test_many_inputs_reach_a_vendor_that_is_far_away() -> None:
    contents = [bytes([number]) * 70_000 for number in range(60)]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    inputs = [{"path": f"part-{n}", "sha256": sha256, "bytes": 70_000} for n, sha256 in enumerate(hashes)]
    world = Workshop({"inputs": inputs}, a=Seller())
    world.latency_s = 0.1
    for content in contents:
        world.files.put(content)
    assert world.ticks().status is RunStatus.COMPLETED
    assert len(world.run.jobs) == 1
    assert set(world.sellers["a"].inputs) >= set(hashes[15:])


def test_a_cheat_with_an_exit_code_is_paid_once_where_there_is_no_program() -> None:
    world = Workshop(a=Seller(exits(1)), b=Seller())
    world.run = replace(world.run, workload="")
    assert world.ticks().status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in world.run.jobs] == ["a", "b"]
    assert failures(world)[0].ending is JobEnding.AT_ONCE


@pytest.mark.parametrize("after_s", [1, 3 * 3600])
def test_a_time_in_which_we_were_down_is_no_slowness_of_the_vendor(after_s: float) -> None:
    def look(job: SoldJob) -> JobReport:
        job.files = {"model.npz": b"x" * 2_500_000}
        return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)

    world = Workshop(a=Seller(look), b=Seller())
    world.ports = replace(world.ports, pace=Pace(share_bytes=2**20))
    world.ticks(1)
    assert endings(world) == ["Collecting"]
    world.at += after_s
    assert world.ticks().status is RunStatus.COMPLETED
    assert endings(world) == ["Completed"]


def test_what_drips_is_left_after_a_while() -> None:
    """A byte with each tick is no delivery: neither of outputs, nor of the last checkpoint."""

    def failed(job: SoldJob) -> JobReport:
        job.checkpoint = {"progress.json": b"{}", "state": b"s" * 1_000}
        return report(JobStatus.FAILED, checkpoint=job.offer, error_message="node lost")

    def done(job: SoldJob) -> JobReport:
        job.files = {"model.npz": b"m" * 1_000}
        return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)

    for script in (done, failed):
        world = Workshop(a=Seller(script, drips=True), b=Seller())
        world.ticks(4)
        assert endings(world) == ["Collecting"]
        world.ticks(310)
        assert world.run.status is RunStatus.COMPLETED
        assert endings(world) == ["Failed", "Completed"]


def test_checkpoints_take_no_room_from_outputs() -> None:
    content = b"m" * 300_000

    def look(job: SoldJob) -> JobReport:
        job.checkpoint = {"progress.json": b'{"fraction": 0.5}', "state": b"s" * 300_000}
        job.files = {"model.npz": content}
        status = JobStatus.COMPLETED if job.asked > 3 else JobStatus.RUNNING
        return report(status, exit_code=0, files=job.manifest, checkpoint=job.offer)

    world = Workshop(a=Seller(look))
    world.rules = replace(world.rules, run_files_max=512_000)
    assert world.ticks().status is RunStatus.COMPLETED
    assert endings(world) == ["Completed"]


def test_work_that_ends_twice_in_the_same_way_speaks_against_no_vendor() -> None:
    def bad(job: SoldJob) -> JobReport:
        works(job)
        return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest, metrics=({"loss": 9.0},))

    world = Workshop({"success": {"metric": {"name": "loss", "at_most": 2}}}, a=Seller(bad), b=Seller(bad))
    assert world.ticks().status is RunStatus.FAILED
    assert {failure.fault for failure in failures(world)} == {Fault.PROGRAM}
    assert len(world.run.jobs) == 2


def test_secrets_and_files_go_to_whom_they_may() -> None:
    world = Workshop({"secrets": ["HF_TOKEN"]}, a=Seller(), b=Seller())
    world.trusted = frozenset("b")
    assert world.ticks().status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in world.run.jobs] == ["b"]


def test_a_vendor_of_the_old_api_is_not_paid_for_a_job_file() -> None:
    world = Workshop(a=Seller(accepts=()), b=Seller(accepts=("workload",)))
    assert world.ticks().status is RunStatus.FAILED
    assert world.spent == 0


def test_what_is_not_needed_any_more_is_stopped() -> None:
    world = Workshop(a=Seller(lambda _: report()))
    world.ticks(2)
    save_event(world.run.run_id, lambda _: RunCancelled("me", "enough"), cast("Any", world), cast("Any", world))
    world.ticks()
    assert [job.stopped for job in world.sellers["a"].jobs.values()] == [True]


def test_a_tick_that_was_overtaken_after_it_stored_a_file_loses_nothing() -> None:
    world = Workshop(a=Seller())
    while endings(world) != ["Collecting"]:
        (step, *_) = next_steps(world.run, world.at)
        event = perform(step, world.run, world.ports)
        assert event
        world.run = apply(world.run, event)
    (job,) = world.run.jobs
    assert perform(Collect(job.job_id), world.run, world.ports), "stored, and killed before it is saved"
    assert world.ticks().status is RunStatus.COMPLETED
    assert len(world.files.contents) == 1


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_killed_anywhere_each_job_is_paid_once_and_its_files_come_back(data: st.DataObject) -> None:
    """Any step may be made and not saved, any number of times; two ticks may make the same step."""
    scripts = st.sampled_from([works, exits(1), lost_after(0.4), lost_after(1.0), exits(75)])
    sellers = {name: Seller(data.draw(scripts, name)) for name in "abc"}
    world = Workshop({"on_exit": {75: "retry"}}, **sellers)
    kills = iter(data.draw(st.lists(st.booleans(), max_size=60), "killed before it saves"))
    for _ in range(400):
        if is_over(world.run):
            break
        for step in next_steps(world.run, world.at):
            event = perform(step, world.run, world.ports) if step in next_steps(world.run, world.at) else None
            if event and not next(kills, False):
                world.run = apply(world.run, event)
        world.at += 1
    assert is_over(world.run)
    paid = [job for job in world.run.jobs if isinstance(job, Settled)]
    assert world.spent == sum(job.quote.amount for job in paid) == budget.settled(world.run)
    assert len(world.settled) == len(paid)
    for job in paid:
        names = [name for seller in sellers.values() for name in seller.jobs if job.job_id in name]
        assert len(names) == 1
        for file in job.files:
            assert hashlib.sha256(world.files.contents[file.sha256]).hexdigest() == file.sha256
        if isinstance(job.work, Completed):
            assert [file.path for file in job.files if file.kind is FileKind.OUTPUT] == ["model.npz"]
            assert world.files.contents[job.files[-1].sha256] == b"model of " + names[0].encode()
