"""The jobs with files of a campaign, and the audit of what came back of them.

Each job writes random bytes of its own under its run's name, so that a file of another run or job is no match.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from gpuagent.agent.start import Order, prepare, start
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.money import UNIT
from gpuagent.core.work import Completed, FileKind, JobFile
from gpuagent.core.workload import Workload
from tests.support.world import World
from tests.tools.campaign.report import Report
from tests.tools.campaign.stage import LATER

MODEL, NOTE, STATE = "model.bin", "note.txt", "state"
MODEL_BYTES, STATE_BYTES, INPUT_BYTES = 700_000, 300_000, 500_000
"""More than a share of one tick, in files and in the checkpoint with what goes before it."""
FOREIGN, AGAIN, BUG = 9, 75, 1
"""Exit codes: of a job that was given another run's files, of one that asks to be tried again, of a bug."""
ENDS = ("well", "well", "well", "again", "bug")
FRACTION = 0.5
WORKS_S = ("0.1", "0.5", "4")
"""Seconds that a command takes; the last are long enough for a vendor to be killed in."""
ALONE = 0.7
"""Of the runs of commands, the share that may buy of the vendor alone that is paid after the work."""
COMMAND = f"""
test "$(head -n 1 input.bin)" = "input of $RUN" || exit {FOREIGN}
if [ -n "$GPUAGENT_RESUME" ]; then
  test "$(head -n 1 "$GPUAGENT_RESUME/{STATE}")" = "state of $RUN" || exit {FOREIGN}
fi
mkdir checkpoint
{{ echo "state of $RUN"; head -c {STATE_BYTES} /dev/urandom; }} > checkpoint/{STATE}
echo '{{"fraction": {FRACTION}, "run": "'$RUN'"}}' > checkpoint/progress.part
mv checkpoint/progress.part checkpoint/progress.json
sleep "$WORK_S"
if [ "$ENDS" = again ] && [ -z "$GPUAGENT_RESUME" ]; then exit {AGAIN}; fi
if [ "$ENDS" = bug ]; then echo "ValueError: no data"; exit {BUG}; fi
{{ echo "model of $RUN"; head -c {MODEL_BYTES} /dev/urandom; }} > {MODEL}
echo "note of $RUN" > {NOTE}
"""


def start_command(world: World, dice: random.Random, number: int) -> Run:
    """A run of a command without files, for the vendor that is paid after it, or for any."""
    name = f"run-{number}"
    workload = Workload.model_validate(
        {
            "name": name,
            "command": "echo words of $RUN; sleep $WORK_S; exit $CODE",
            "env": {"RUN": name, "WORK_S": dice.choice(WORKS_S), "CODE": dice.choice("00001")},
            "max_duration": 720,
            "on_exit": {AGAIN: "retry"},
        }
    )
    vendor_ids = (LATER,) if dice.random() < ALONE else (LATER, dice.choice(world.market.vendors).vendor_id)
    order = Order(f"Run {name}", int(dice.choice((0.7, 2)) * UNIT), vendor_ids=vendor_ids, workload=workload)
    return start(order, world.ports)


def start_work(world: World, dice: random.Random, budget_usd: int, number: int) -> Run:
    """A run with a job of its own: an input that is sent before it is paid, a checkpoint, and two outputs."""
    name = f"run-{number}"
    content = f"input of {name}\n".encode() + dice.randbytes(INPUT_BYTES)
    sha256 = hashlib.sha256(content).hexdigest()
    files = world.ports.files
    files.extend(f"in-{sha256}", files.received(f"in-{sha256}"), [content], len(content))
    files.finish(f"in-{sha256}", sha256, len(content))
    workload = Workload.model_validate(
        {
            "name": name,
            "command": COMMAND,
            "env": {"RUN": name, "WORK_S": f"{dice.uniform(0.2, 1.5):.1f}", "ENDS": dice.choice(ENDS)},
            "inputs": [{"path": "input.bin", "sha256": sha256, "bytes": len(content)}],
            "outputs": [{"path": MODEL}, {"path": NOTE}],
            "checkpoint": {"path": "checkpoint", "every": 1},
            "on_exit": {AGAIN: "retry"},
        }
    )
    order = Order(f"Run {name}", budget_usd * UNIT, max_hours=Decimal(1), jobs_open_max=dice.choice([1, 1, 2]))
    run = replace(prepare(order, world.ports), workload=workload.canonical)
    world.store.create(run)
    return run


def audit_files(runs: Iterable[Run], world: World, jobs_folder: Path, report: Report) -> None:
    """Holds every file that a run has against the store, the job that wrote it, and all other runs."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    world.ports.files.sweep(world.market.clock.now() + 10**6)  # what nobody counts as kept must not be missed
    for run in (run for run in runs if run.workload):
        workload = Workload.model_validate_json(run.workload)
        name = workload.name
        if not workload.outputs:
            report.commands[run.status.value] += 1
            words = {str(log["content"]) for log in world.observations(run, "job_log")}
            report.check(words <= {f"words of {name}"}, f"run {run.run_id} has another run's words: {words}")
            continue
        report.works[run.status.value] += 1
        for job in (job for job in run.jobs if isinstance(job, Settled)):
            report.resumed += '"resume"' in job.quote.order
            exit_code = getattr(job.work, "exit_code", None)
            report.check(exit_code != FOREIGN, f"run {run.run_id}: {job.quote.vendor_id} was given another run's files")
            for file in job.files:
                owners[file.sha256].add(run.run_id)
                problem = _problem(file, name, job, world, jobs_folder)
                report.files[file.kind.value] += not problem
                report.check(not problem, f"run {run.run_id}: {file.path} of {job.quote.vendor_id} {problem}")
        if run.status is RunStatus.COMPLETED:
            report.check(_delivered(run) == Counter({MODEL: 1, NOTE: 1}), f"run {run.run_id} lacks outputs: {run.jobs}")
    for sha256, run_ids in owners.items():
        report.check(len(run_ids) == 1, f"{sha256} is of the runs {', '.join(sorted(run_ids))}")


def _delivered(run: Run) -> Counter[str]:
    """The outputs of the job that completed."""
    completed = [job for job in run.jobs if isinstance(job, Settled) and isinstance(job.work, Completed)]
    return Counter(file.path for job in completed[:1] for file in job.files if file.kind is FileKind.OUTPUT)


def _problem(file: JobFile, name: str, job: Settled, world: World, jobs_folder: Path) -> str:
    """What is wrong with a kept file, "" where it is, byte for byte, what that very job wrote."""
    if world.ports.files.size(file.sha256) is None:
        return "is lost"
    content = b"".join(world.ports.files.read(file.sha256))
    if (len(content), hashlib.sha256(content).hexdigest()) != (file.bytes, file.sha256):
        return f"has another content than its hash says, {len(content)} of {file.bytes} bytes"
    vendor_job_id = getattr(job.work, "vendor_job_id", "")
    folder = jobs_folder / hashlib.sha256(vendor_job_id.encode()).hexdigest()[:32] / "work"
    written = folder / "checkpoint" / file.path if file.kind is FileKind.CHECKPOINT else folder / file.path
    if not written.is_file() or written.read_bytes() != content:
        return "is not what the job wrote"
    return "" if f"{name}".encode() in content[:100] else f"is not of {name}"
