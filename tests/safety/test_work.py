"""Vendors that are hostile with work: lists, files, news and words of files that are not what they should be.

The agent buys a job with files of a vendor that misbehaves. Whatever that one does: the run comes to its end, each
vendor is paid once, nothing that was not proven is kept or counts, what is stored is bounded, and the books equal the
chain.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gpuagent.core.model import Job, Run, RunStatus, Settled
from gpuagent.core.steps import is_over
from gpuagent.core.work import Collecting, Completed, Failed, Fault, FileKind, Underway
from gpuagent.core.workload import Workload
from tests.conftest import SafetyNote
from tests.support.attacks import FIRST, SECOND
from tests.support.world import World

DEADLINE_S = 300.0
SCRIPT = """
if [ -n "$GPUAGENT_RESUME" ] && grep -q poison "$GPUAGENT_RESUME/weights.bin"; then exit 3; fi
echo '{"step": 1, "loss": 2.5}' >> metrics.jsonl
mkdir -p checkpoint
head -c 5000 /dev/zero > checkpoint/weights.bin
printf '{"fraction": 0.5}' > checkpoint/progress.part
mv checkpoint/progress.part checkpoint/progress.json
echo "half of it is done"
sleep 0.4
echo '{"step": 2, "loss": 2.1}' >> metrics.jsonl
for _ in 1 2 3 4 5 6 7 8; do printf "$WORD%.0s" $(seq 1000); done > model.bin
"""
WORKLOAD = Workload.model_validate(
    {
        "name": "attacked",
        "command": SCRIPT,
        "env": {"WORD": "model"},
        "outputs": [{"path": "model.bin", "max_bytes": "1MB"}, {"path": "metrics.jsonl"}],
        "checkpoint": {"path": "checkpoint", "every": 1},
        "success": {"metric": {"name": "loss", "at_most": "2.2"}},
    }
)
OBSERVATIONS_MAX, LETTERS_MAX = 6_000, 2_500


@dataclass(frozen=True)
class Row:
    """What comes of a fault. paid: the vendors; words: of the reason for which the first is left, if it is.

    beside: other faults of the same vendor. word: the model consists of 8,000 of it. neighbour: whether the vendor has
    run the job of another buyer before. hours: that each job bought, where that is the point.
    """

    fault: str
    paid: tuple[str, ...] = (FIRST,)
    words: str = ""
    beside: tuple[str, ...] = ()
    word: str = "model"
    neighbour: bool = False
    hours: tuple[str, ...] = ()

    @property
    def workload(self) -> Workload:
        return WORKLOAD.model_copy(update={"env": {"WORD": self.word}})


LEFT, THIRD = (FIRST, SECOND), "gpu_vendor_3"
ROWS = (
    Row("wrong_workload_hash", (SECOND,)),
    Row("old_vendor", (SECOND,)),
    Row("no_files", (SECOND,)),
    Row("bad_paths"),
    Row("crowd_of_files"),
    Row("million_files", LEFT, "silent"),
    Row("sizes_lie", LEFT, "does not deliver what it listed"),
    Row("manifest_changes", LEFT, "does not deliver what it listed"),
    Row("missing_output", LEFT, "there is no model.bin"),
    Row("nan_metrics", LEFT, "loss"),
    Row("metric_flood"),
    Row("terabyte_checkpoint"),
    Row("done_at_once"),
    Row("empty_success", LEFT, "there is no model.bin"),
    Row("status_backwards", LEFT, "there is no model.bin"),
    Row("altered_content", LEFT, "does not deliver what it listed"),
    Row("endless_file", LEFT, "does not deliver what it listed"),
    Row("html_file", LEFT, "does not deliver what it listed"),
    Row("cut_file", LEFT, "does not deliver what it listed"),
    Row("range_ignored", LEFT, "does not deliver what it listed"),
    Row("file_gone", LEFT, "does not deliver what it listed"),
    Row("slow_file", LEFT, "does not deliver what it listed"),
    Row("foreign_file", LEFT, "does not deliver what it listed", word="other", neighbour=True),
    Row("poisoned_checkpoint", LEFT, "node lost", beside=("node_lost",), hours=("1.0", "1.0")),
    Row(
        "poisoned_content",
        (FIRST, SECOND, THIRD),
        "node lost",
        beside=("node_lost", "poisoned_checkpoint"),
        hours=("1.0", "0.02", "1.0"),
    ),
)


def plays(world: World, workload: Workload = WORKLOAD) -> Run:
    """The run at its end. Where a vendor is silent, or hardly anything of a file comes, it is five minutes later."""
    run = world.start(workload=workload)
    ends_at = time.monotonic() + DEADLINE_S
    while not is_over(run):
        assert time.monotonic() < ends_at, f"not over: {run}"
        began = time.monotonic()
        run = world.tick(run)
        assert time.monotonic() - began < 45, "a tick is bounded"
        if any(is_waited_for(job) for job in run.jobs):
            world.market.pass_time(301)
    return run


def is_waited_for(job: Job) -> bool:
    match job:
        case Settled(work=Underway(silent_since=float()) | Collecting(hindered_since=float())):
            return True
    return False


def assert_sound(world: World, run: Run, row: Row) -> dict[str, Any]:
    """What holds of every run, whatever its vendors do; what was stored of it."""
    settled = [job for job in run.jobs if isinstance(job, Settled)]
    assert run.status is RunStatus.COMPLETED
    assert tuple(job.quote.vendor_id for job in settled) == row.paid
    world.assert_balanced(run, transfers=len(row.paid))
    assert isinstance(settled[-1].work, Completed)
    hours = tuple(str(job.quote.max_hours) for job in settled)
    assert not row.hours or hours == row.hours
    outputs = {file.path: file for file in settled[-1].files if file.kind is FileKind.OUTPUT}
    assert b"".join(world.ports.files.read(outputs["model.bin"].sha256)) == row.word.encode() * 8_000
    assert set(outputs) == {"model.bin", "metrics.jsonl"}
    for job in settled:
        for file in job.files:
            content = b"".join(world.ports.files.read(file.sha256))
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    documents = world.reads.documents(run.run_id)
    assert len(documents["observations"]) < OBSERVATIONS_MAX
    assert max(len(entry["content"]) for entry in documents["observations"]) < LETTERS_MAX
    assert max(len(json.dumps(job, default=str)) for job in documents["jobs"]) < 500_000
    return {"jobs": len(settled), "observations": len(documents["observations"])}


@pytest.mark.safety("a vendor that is hostile with work")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_vendor_that_is_hostile_with_work(
    make_world: Callable[..., World], safety_note: SafetyNote, row: Row
) -> None:
    world = make_world()
    if row.neighbour:
        neighbour = plays(make_world())
        assert [job.quote.vendor_id for job in neighbour.jobs] == [FIRST]
    for fault in (row.fault, *row.beside):
        world.market.fault(FIRST, fault)
    run = plays(world, row.workload)
    facts = assert_sound(world, run, row)
    left = [(job.quote.vendor_id, job.work) for job in run.jobs if isinstance(job, Settled)]
    failures = {vendor_id: work for vendor_id, work in left if isinstance(work, Failed)}
    reasons = [work.reason for work in failures.values()]
    assert len(reasons) == len(row.paid) - 1
    assert all(reasons)
    assert all(row.words in reason for reason in reasons[:1]), reasons
    blamed = [vendor_id for vendor_id, work in failures.items() if work.fault is Fault.VENDOR]
    assert blamed == [FIRST] * bool(failures), "who goes on from another's checkpoint is not to blame for it"
    result = f"left: {reasons[0][:120]}" if reasons else f"the files of {row.paid[0]} are proven and count"
    safety_note(f"paid {', '.join(row.paid)} once each; {result}; {facts['observations']} observations")
