"""What a vendor that sold real work can cost beyond its price: purchases, waiting, and room in the database.

In memory, where hours of ticks cost a second. tests/safety/test_work.py plays what a vendor lists and sends over HTTP.
"""

import hashlib
import json
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.vendors.answers import read_report
from gpuagent.core import budget
from gpuagent.core.model import RunStatus, Settled, Vendor, Voided
from gpuagent.core.orders import manifest_sha256
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.steps import is_over
from gpuagent.core.transitions import NOTES_MAX
from gpuagent.core.work import CheckpointOffer, Completed, Failed, FileEntry, FileKind, JobEnding, JobReport, JobStatus
from gpuagent.errors import VendorBusy, VendorError
from tests.conftest import SafetyNote
from tests.support.factories import VENDOR
from tests.support.workshop import (
    HOUR_PRICE,
    Seller,
    Sellers,
    SoldJob,
    Workshop,
    entry,
    exits,
    report,
)

LATER = {"checkpoint": {"path": "checkpoint"}}
"""A checkpoint every ten minutes."""
TICKS = 3_000


def paid(world: Workshop) -> list[Settled]:
    return [job for job in world.run.jobs if isinstance(job, Settled)]


def failures(world: Workshop) -> list[Failed]:
    return [job.work for job in paid(world) if isinstance(job.work, Failed)]


def assert_paid_once(world: Workshop) -> None:
    """Each job is one payment, and no more is spent than the run had."""
    jobs = paid(world)
    assert len(world.settled) == len(jobs)
    assert world.spent == sum(job.quote.amount for job in jobs) == budget.settled(world.run) <= world.run.budget


def assert_only_proven(world: Workshop) -> None:
    for job in paid(world):
        for file in job.files:
            content = world.files.contents[file.sha256]
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)


class _Unsteady(Sellers):
    """Sellers that answer no question about a job: busy and broken in turn."""

    def __init__(self, world: Workshop) -> None:
        super().__init__(world)
        self._turns = count()

    def status(self, *_: object) -> JobReport:
        raise (VendorBusy if next(self._turns) % 2 else VendorError)("no news")


class _SlowFiles(Sellers):
    """Sellers whose every file takes so many seconds to begin to come, and does not come in less."""

    def __init__(self, world: Workshop, begins_s: float) -> None:
        super().__init__(world)
        self._begins_s = begins_s

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        self._world.at += self._begins_s
        if seconds < self._begins_s:
            raise VendorError("sent nothing in the time that there was")
        yield from super().read_file(vendor, job, file, start, seconds, checkpoint)


def flips_its_word(job: SoldJob) -> JobReport:
    return report(word=f"queued behind {job.asked}", progress=job.asked % 2 / 2)


def repeats_its_cursor(job: SoldJob) -> JobReport:
    """The same news for ever, and a cursor that goes back."""
    rows = tuple({"step": number, "loss": 1.0} for number in range(100))
    return report(logs=("the same line",) * 100, metrics=rows, cursor=str(-job.asked))


def lists_another_each_time(job: SoldJob) -> JobReport:
    files = (FileEntry("weights.bin", 1_000, hashlib.sha256(str(job.asked).encode()).hexdigest()),)
    return report(checkpoint=CheckpointOffer(manifest_sha256(files), files))


@pytest.mark.safety("a vendor without end to its news fills no database")
@pytest.mark.parametrize(
    ("script", "lines_max"),
    [(flips_its_word, 0), (lists_another_each_time, 0), (repeats_its_cursor, 10_000)],
    ids=["a word that changes with every answer", "another checkpoint each time", "the same news again and again"],
)
def test_news_without_end_are_bounded(
    safety_note: SafetyNote, script: Callable[[SoldJob], JobReport], lines_max: int
) -> None:
    world = Workshop(LATER, a=Seller(script))
    world.ticks(TICKS)
    stored = len(world.observations)
    assert stored <= NOTES_MAX + lines_max + 10
    assert len(paid(world)) == 1
    assert_paid_once(world)
    safety_note(f"{TICKS} answers, at most {NOTES_MAX + lines_max + 10} entries stored; paid once")


@pytest.mark.safety("a vendor that is busy and broken in turn fills no database")
def test_an_unsteady_vendor_is_bounded(safety_note: SafetyNote) -> None:
    world = Workshop(a=Seller())
    world.ports = replace(world.ports, vendor_api=_Unsteady(world))
    world.ticks(TICKS)
    assert len(world.observations) <= NOTES_MAX + 10
    assert_paid_once(world)
    safety_note(f"{TICKS} answers, at most {NOTES_MAX + 10} entries stored; paid once")


@pytest.mark.safety("checkpoints that cannot be had are asked for as seldom as those that can")
def test_lost_checkpoints_are_bounded(safety_note: SafetyNote) -> None:
    world = Workshop(LATER, a=Seller(lists_another_each_time))
    world.ticks(1_300)
    lost = [entry for entry in world.observations if "is not kept" in entry.content]
    assert len(lost) == 3
    safety_note("in 1300 s of another checkpoint each second, three are asked for")


@pytest.mark.safety("a checkpoint of many files is not lost where a tick's share ends")
def test_a_share_that_ends_loses_no_checkpoint(safety_note: SafetyNote) -> None:
    def many(job: SoldJob) -> JobReport:
        job.checkpoint = {"progress.json": b'{"fraction": 0.5}'}
        job.checkpoint |= {f"shard-{number}": str(number).encode() * 10 for number in range(100)}
        status = JobStatus.FAILED if job.asked > 12 else JobStatus.RUNNING
        return report(status, checkpoint=job.offer, error_message="node lost")

    world = Workshop(a=Seller(many), b=Seller())
    world.ports = replace(world.ports, vendor_api=_SlowFiles(world, 0.03))
    assert world.ticks(200).status is RunStatus.COMPLETED
    assert world.spent == 1.5 * HOUR_PRICE
    assert_only_proven(world)
    safety_note("101 files in several shares; the rest is bought, 0.5 of 1 hour")


@pytest.mark.safety("a vendor whose files begin to come late delivers all the same")
def test_files_may_begin_to_come_late(safety_note: SafetyNote) -> None:
    world = Workshop(a=Seller())
    world.ports = replace(world.ports, vendor_api=_SlowFiles(world, 3.0))
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.spent == HOUR_PRICE
    safety_note("a file that begins to come after 3 s, where a tick's share is one: delivered, paid once")


@pytest.mark.safety("the last checkpoint of a lost job is worth waiting for")
def test_the_last_checkpoint_is_waited_for(safety_note: SafetyNote) -> None:
    def fails(job: SoldJob) -> JobReport:
        job.checkpoint = {"progress.json": b'{"fraction": 0.5}'}
        return report(JobStatus.FAILED, checkpoint=job.offer, error_message="node lost")

    world = Workshop(a=Seller(fails, reading=[VendorError("answered 502")] * 5), b=Seller())
    assert world.ticks(200).status is RunStatus.COMPLETED
    assert world.spent == 1.5 * HOUR_PRICE
    gone = Workshop(a=Seller(fails, reading=[VendorError("answered 404")] * 10_000), b=Seller())
    gone.ticks(10)
    gone.at += gone.ports.pace.silence_s
    assert gone.ticks(100).status is RunStatus.COMPLETED
    assert gone.spent == 2 * HOUR_PRICE
    safety_note("five errors, then it comes: 0.5 hours bought; none within the silence: the whole once more")


@pytest.mark.safety("a vendor that says completed within seconds, without a result, is paid no more by the run")
@pytest.mark.parametrize("lie", ["nothing", "a list", "a test"])
def test_completed_at_once_is_bought_once_of_each_vendor(safety_note: SafetyNote, lie: str) -> None:
    def lies(job: SoldJob) -> JobReport:
        if lie == "nothing":
            return report(JobStatus.COMPLETED)
        job.files = {"model.npz": b"no model"}
        listed = (entry("model.npz", b"a model"),) if lie == "a list" else job.manifest
        return report(JobStatus.COMPLETED, files=listed)

    world = Workshop(a=Seller(lies), b=Seller(lies))
    world.ticks(100)
    assert len(paid(world)) == 2
    assert {job.quote.vendor_id for job in paid(world)} == {"a", "b"}
    assert {failure.ending for failure in failures(world)} == {JobEnding.AT_ONCE}
    assert_paid_once(world)
    safety_note("paid once at each of two vendors, and no third time")


@pytest.mark.safety("an exit code that is a lie costs one more purchase, and is its vendor's fault")
def test_a_lie_about_the_exit_code(safety_note: SafetyNote) -> None:
    world = Workshop(a=Seller(exits(1, "boom")), b=Seller())
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.spent == 2 * HOUR_PRICE
    assert_paid_once(world)
    safety_note("paid twice, completed elsewhere; the first vendor is blamed")


@pytest.mark.safety("to name the hash of a file that another run has is not to deliver it")
def test_a_file_of_another_run_counts_only_once_it_came(safety_note: SafetyNote) -> None:
    def names(job: SoldJob) -> JobReport:
        return report(JobStatus.COMPLETED, exit_code=0, files=(entry("model.npz", b"of another run"),))

    world = Workshop(a=Seller(names), b=Seller())
    world.files.put(b"of another run")
    world.ticks(3)
    world.at += 400
    assert world.ticks(100).status is RunStatus.COMPLETED
    assert [type(job.work) for job in paid(world)] == [Failed, Completed]
    assert not [file for file in paid(world)[0].files if file.kind is FileKind.OUTPUT]
    safety_note("not counted; the work is bought elsewhere")


@pytest.mark.safety("a vendor that takes an input byte by byte is left unpaid")
def test_an_endless_delivery_ends(safety_note: SafetyNote) -> None:
    content = b"w" * 200_000
    sha256 = hashlib.sha256(content).hexdigest()

    class Reluctant(Sellers):
        def quote(self, vendor: Vendor, *arguments: Any, **names: Any) -> Any:
            return replace(super().quote(vendor, *arguments, **names), expires_at=self._world.at + 10**7)

        def send_input(self, vendor: Vendor, job: Any, file: FileEntry, start: int, parts: Any) -> int:
            if vendor.vendor_id != "a":
                return super().send_input(vendor, job, file, start, parts)
            list(parts)
            self._world.at += 1.5
            inputs = self._world.sellers["a"].inputs
            inputs[file.sha256] = content[: start + 1]
            return start + 1

    inputs = [{"path": "weights.bin", "sha256": sha256, "bytes": len(content)}]
    world = Workshop({"inputs": inputs}, a=Seller(), b=Seller())
    world.files.put(content)
    world.ports = replace(world.ports, vendor_api=Reluctant(world))
    assert world.ticks(5_000).status is RunStatus.COMPLETED
    first, *_ = world.run.jobs
    assert isinstance(first, Voided)
    assert "did not take the files" in first.reason
    assert world.spent == HOUR_PRICE
    safety_note("given up after half an hour and what its size explains; nothing paid there, bought elsewhere")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=10), values, max_size=4),
    max_leaves=8,
)
PATHS = st.text(max_size=20) | st.sampled_from(
    ["model.npz", "MODEL.npz", "progress.json", "../x", "/x", "a/b", "a", "C:/x", "nul\0", "con", "\ud800", "x" * 600]
)
ENTRIES = st.fixed_dictionaries(
    {
        "path": PATHS | JSON,
        "bytes": st.sampled_from([0, 5, 10**12, -1, True, 2**70]) | JSON,
        "sha256": st.sampled_from([hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"model").hexdigest(), "f" * 64])
        | JSON,
    }
)
MANIFESTS = st.lists(ENTRIES | JSON, max_size=6)
ANSWERS = st.fixed_dictionaries(
    {"status": st.sampled_from(["running", "completed", "failed", "queued", "weird"])},
    optional={
        "exitCode": st.sampled_from([0, 1, 137, -9, 300, None]) | JSON,
        "files": MANIFESTS | JSON,
        "checkpoint": JSON | st.fixed_dictionaries({"sha256": st.just("?"), "files": MANIFESTS}),
        "metrics": st.lists(JSON, max_size=4) | JSON,
        "finalMetrics": JSON,
        "logs": JSON,
        "cursor": JSON,
        "progress": JSON,
        "phase": JSON,
        "errorMessage": JSON,
        "artifactUrl": JSON,
    },
)
CONTENTS = st.sampled_from([b"model", b"", b"<html>", b'{"fraction": NaN}', b'{"fraction": 1e999}', b"[" * 500])


def signed(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, whose checkpoint has the hash of its list, so that it is looked at."""
    checkpoint = answer.get("checkpoint")
    if isinstance(checkpoint, dict) and checkpoint.get("sha256") == "?":
        try:
            files = tuple(FileEntry(file["path"], file["bytes"], file["sha256"]) for file in checkpoint["files"])
            return answer | {"checkpoint": checkpoint | {"sha256": manifest_sha256(files)}}
        except (TypeError, KeyError, ValueError):
            return answer
    return answer


@pytest.mark.safety("whatever a vendor answers about work: the run ends, within its budget, each job paid once")
@given(st.lists(ANSWERS, min_size=1, max_size=6), CONTENTS)
@settings(max_examples=80, deadline=None)
def test_any_answers_end_within_the_budget(answers: list[dict[str, Any]], content: bytes) -> None:
    reports = [read_report(VENDOR, signed(answer)) for answer in answers]

    def says(job: SoldJob) -> JobReport:
        said = reports[min(job.asked, len(reports)) - 1]
        job.files = {file.path: content for file in said.files}
        job.checkpoint = {file.path: content for file in said.checkpoint.files} if said.checkpoint else {}
        return said

    world = Workshop(a=Seller(says), b=Seller(says), c=Seller())
    for _ in range(60):
        if is_over(world.ticks(10)):
            break
        world.at += 1_200
    assert is_over(world.run), world.run
    assert_paid_once(world)
    assert_only_proven(world)
    json.dumps([entry.data for entry in world.observations], default=str)
