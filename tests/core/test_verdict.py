"""Our own verdict: the success test, the outputs that count, whose fault a failure is."""

from dataclasses import replace
from decimal import Decimal

import pytest

from gpuagent.core.model import Run, Settled
from gpuagent.core.verdict import failure_reason, fault_of, hopeless, outputs_to_fetch, room, success_problem
from gpuagent.core.work import Completed, Failed, Fault, FileEntry, FileKind, JobFile, JobStatus, Underway
from gpuagent.core.workload import Workload
from tests.support.factories import RUN, SETTLEMENT, authorization, quote
from tests.support.workshop import JOB_FILE, report

WORKLOAD = Workload.model_validate(
    JOB_FILE | {"outputs": [{"path": "model.npz", "max_bytes": "1MB"}, {"path": "log", "required": False}]}
)
MODEL = JobFile("model.npz", 3, "1" * 64, FileKind.OUTPUT, 3.0)


def entry(path: str = "model.npz", size: int = 3) -> FileEntry:
    return FileEntry(path, size, "1" * 64)


def failed_run(*works: Failed, **changes: object) -> Run:
    jobs = tuple(
        Settled(f"job{n}", quote(vendor_id=f"v{n}"), 1.0, authorization(), "header", SETTLEMENT, work)
        for n, work in enumerate(works)
    )
    return replace(RUN, workload=WORKLOAD.model_copy(update=changes).canonical, jobs=jobs)


@pytest.mark.parametrize(
    ("manifest", "paths", "problem"),
    [
        ([entry()], ["model.npz"], ""),
        ([entry(), entry("log"), entry("another")], ["model.npz", "log"], ""),
        ([entry(), entry("log", 10**9)], ["model.npz"], ""),
        ([], [], "there is no model.npz"),
        ([entry("Model.npz")], [], "there is no model.npz"),
        ([entry(size=10**6 + 1)], [], "model.npz has 1000001 bytes, where 1000000 are allowed"),
        ([entry(size=10**6)], ["model.npz"], ""),
        ([entry(size=0)], ["model.npz"], ""),
    ],
)
def test_the_outputs_that_are_fetched(manifest: list[FileEntry], paths: list[str], problem: str) -> None:
    files, why = outputs_to_fetch(WORKLOAD, manifest, 10**9, 10**9)
    assert ([file.path for file in files], why) == (paths, problem)


def test_the_policy_bounds_what_is_fetched() -> None:
    assert outputs_to_fetch(WORKLOAD, [entry(size=11)], 10, 10**9)[1]
    assert outputs_to_fetch(WORKLOAD, [entry(size=11)], 10**9, 10)[1]
    run = failed_run(Failed("?", 3.0))
    assert room(run, 10) == 10
    run = replace(run, jobs=tuple(replace(job, files=(MODEL, MODEL)) for job in run.jobs))  # type: ignore[type-var]
    assert (room(run, 10), room(run, 2)) == (7, 0)


@pytest.mark.parametrize(
    ("outcome", "files", "test", "why"),
    [
        (Completed("v", 3.0, exit_code=0), [MODEL], {}, ""),
        (Completed("v", 3.0, exit_code=0), [], {}, "there is no model.npz"),
        (Completed("v", 3.0, exit_code=3), [MODEL], {}, "exit code 3, and 0 means success"),
        (Completed("v", 3.0), [MODEL], {}, "exit code none, and 0 means success"),
        (Completed("v", 3.0), [MODEL], {"exit_code": None}, ""),
        (Completed("v", 3.0, exit_code=3), [MODEL], {"exit_code": 3}, ""),
        (Completed("v", 3.0, {"loss": 2.2}, exit_code=0), [MODEL], {"metric": {"name": "loss", "at_most": "2.2"}}, ""),
        (
            Completed("v", 3.0, {"loss": 2.21}, exit_code=0),
            [MODEL],
            {"metric": {"name": "loss", "at_most": "2.2"}},
            "x",
        ),
        (Completed("v", 3.0, exit_code=0), [MODEL], {"metric": {"name": "loss", "at_most": "2.2"}}, "x"),
        (Completed("v", 3.0, {"loss": "NaN"}, exit_code=0), [MODEL], {"metric": {"name": "loss", "at_most": 9}}, "x"),
        (Completed("v", 3.0, {"acc": 0.5}, exit_code=0), [MODEL], {"metric": {"name": "acc", "at_least": "0.6"}}, "x"),
    ],
)
def test_the_success_test(outcome: Completed, files: list[JobFile], test: dict[str, object], why: str) -> None:
    workload = Workload.model_validate(JOB_FILE | {"success": test})
    problem = success_problem(workload, outcome, files)
    assert bool(problem) == bool(why)
    assert why in (problem, "x")


@pytest.mark.parametrize(
    ("code", "after_s", "fault"),
    [
        (None, 10, Fault.VENDOR),
        (None, 3600, Fault.TIME),
        (None, 3500, Fault.TIME),
        (None, 3400, Fault.VENDOR),
        (0, 10, Fault.VENDOR),
        (1, 10, Fault.PROGRAM),
        (1, 4000, Fault.PROGRAM),
        (255, 10, Fault.PROGRAM),
    ],
)
def test_whose_fault_it_is(code: int | None, after_s: float, fault: Fault) -> None:
    failure = report(JobStatus.FAILED, exit_code=code)
    worked = Underway("v", 1_000.0, logs_seen=1)
    assert fault_of(failure, quote(max_hours=Decimal(1)), worked, 1_000.0 + after_s, WORKLOAD) is fault
    assert fault_of(failure, quote(max_hours=Decimal(1)), worked, 1_000.0 + after_s, None) is Fault.VENDOR


def test_time_that_went_by_without_a_sign_of_work_is_the_vendors_fault() -> None:
    failure, idle = report(JobStatus.FAILED), Underway("v", 1_000.0)
    assert fault_of(failure, quote(max_hours=Decimal(1)), idle, 5_000.0, WORKLOAD) is Fault.VENDOR


def test_the_reason_has_the_end_of_the_log() -> None:
    failure = report(JobStatus.FAILED, exit_code=1, error_message="failed")
    assert failure_reason(failure, ["a", "b", "  ", "Error: c"]) == "exit code 1: b | Error: c"
    assert failure_reason(failure, []) == "exit code 1: failed"
    assert failure_reason(report(JobStatus.FAILED, error_message="node lost"), ["a"]) == "node lost"
    assert failure_reason(report(JobStatus.FAILED, word="evicted"), []) == "the vendor says evicted"
    assert len(failure_reason(failure, ["x" * 10_000])) < 400


PROGRAM = Failed("exit code 1: no data", 3.0, fault=Fault.PROGRAM, exit_code=1)


@pytest.mark.parametrize(
    ("works", "changes", "ends"),
    [
        ([PROGRAM], {}, False),
        ([PROGRAM, PROGRAM], {}, True),
        ([PROGRAM, replace(PROGRAM, exit_code=2)], {}, False),
        ([PROGRAM, replace(PROGRAM, exit_code=2), replace(PROGRAM, exit_code=3)], {}, True),
        ([PROGRAM, Failed("node lost", 3.0), PROGRAM], {}, True),
        ([Failed("node lost", 3.0)] * 7, {}, False),
        ([PROGRAM], {"on_exit": {1: "stop"}}, True),
        ([PROGRAM] * 5, {"on_exit": {1: "retry"}}, False),
        ([PROGRAM, PROGRAM], {"program_failures": 3}, False),
        ([PROGRAM, PROGRAM, PROGRAM], {"program_failures": 3}, True),
        ([PROGRAM], {"program_failures": 1}, True),
        ([Failed("late", 3.0, fault=Fault.TIME)], {}, True),
        # Done twice by the vendors' word, and not by our test.
        ([Failed("no model", 3.0, exit_code=0)] * 2, {}, True),
    ],
)
def test_when_buying_once_more_is_of_no_use(works: list[Failed], changes: dict[str, object], ends: bool) -> None:
    assert bool(hopeless(failed_run(*works, **changes))) is ends


def test_a_run_without_a_job_file_ends_as_it_always_did() -> None:
    assert hopeless(replace(failed_run(PROGRAM, PROGRAM), workload="")) == ""
