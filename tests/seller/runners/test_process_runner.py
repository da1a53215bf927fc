"""The process runner on this machine: real programs in bubblewrap, ended, killed, adopted, and never run twice."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seller.runners import Checkpoint, FileEntry, JobOrder, JobState, RunnerError
from seller.runners import sandbox as sandbox_module
from seller.runners.job_folder import JobFolder
from seller.runners.local import NODE_LOST
from seller.runners.process import ProcessRunner
from seller.runners.sandbox import sandboxed, sealed
from tests.support.eventually import eventually
from tests.support.job_sleeps import processes, sleeping
from tests.support.seller_jobs import supervisors

DEADLINE_S = 90.0
SLEEP = sleeping(61)
ROOT = Path(__file__).parents[3]
SECRET = "hf_not_a_real_one"
TRAINING = """
import json, os, pathlib, time
start = 0
if "GPUAGENT_RESUME" in os.environ:
    start = json.loads(pathlib.Path(os.environ["GPUAGENT_RESUME"], "progress.json").read_text())["step"]
checkpoint = pathlib.Path("checkpoint"); checkpoint.mkdir(exist_ok=True)
for step in range(start + 1, 7):
    with open("metrics.jsonl", "a") as metrics: metrics.write(json.dumps({"step": step, "loss": 1 / step}) + "\\n")
    print("step", step, flush=True)
    (checkpoint / "weights.bin").write_bytes(bytes([step]) * 1000)
    (checkpoint / "progress.part").write_text(json.dumps({"fraction": step / 6, "step": step}))
    (checkpoint / "progress.part").replace(checkpoint / "progress.json")
    if step == STOP: pathlib.Path("reached").touch(); time.sleep(60)
pathlib.Path("model.bin").write_bytes(b"model")
"""


@pytest.fixture(params=[True, False], ids=["bubblewrap", "bare"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(tmp_path / "jobs", sandbox=request.param)
    yield runner
    for folder in (tmp_path / "jobs").iterdir():
        (folder / "stop").write_text("the test is over")
    eventually(lambda: not supervisors(tmp_path), DEADLINE_S)


@pytest.fixture
def sandbox(tmp_path: Path) -> ProcessRunner:
    return ProcessRunner(tmp_path / "jobs")


def order(command: str | list[str], **options: object) -> JobOrder:
    return JobOrder(**{"job_id": "job-1", "command": command, "duration_s": 60.0, **options})  # type: ignore[arg-type]


def ended(runner: ProcessRunner, job_id: str = "job-1") -> JobState:
    eventually(lambda: runner.state(job_id).phase == "ended", DEADLINE_S)
    return runner.state(job_id)


def newest(runner: ProcessRunner, job_id: str = "job-1") -> Checkpoint:
    return runner.checkpoint(job_id) or Checkpoint("", ())


def run(runner: ProcessRunner, command: str | list[str], **options: object) -> tuple[JobState, list[str]]:
    runner.start(order(command, **options))
    state = ended(runner)
    return state, runner.logs("job-1", 0)[0]


def test_a_folder_that_is_named_from_where_the_seller_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `gpuagent sell` without a configuration's whole path does: supervisors do not work in that folder."""
    monkeypatch.chdir(tmp_path)
    runner = ProcessRunner(Path("jobs"), sandbox=False)
    runner.start(order(["true"]))
    assert ended(runner).exit_code == 0


@pytest.mark.parametrize(
    ("command", "exit_code", "lines"),
    [
        ("echo hello; echo there >&2", 0, ["hello", "there"]),
        (["echo", "a b; c"], 0, ["a b; c"]),
        ("exit 7", 7, []),
        ("kill -9 $$", 137, []),
    ],
)
def test_a_program_and_its_exit_code(runner: ProcessRunner, command: str, exit_code: int, lines: list[str]) -> None:
    state, log = run(runner, command)
    assert (state.exit_code, state.reason, log) == (exit_code, "", lines)


def test_files_go_in_and_come_out(runner: ProcessRunner, tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("a b c\n")
    state, _ = run(
        runner,
        "wc -w < data/corpus.txt > count.txt; mkdir out; cp count.txt out/b; ln -s count.txt link",
        inputs={"data/corpus.txt": tmp_path / "corpus"},
        outputs=["count.txt", "out/b", "missing", "link", "../order.json", "/etc/passwd", "out"],
    )
    assert state.exit_code == 0
    entries = runner.files("job-1")
    assert [(entry.path, entry.bytes) for entry in entries] == [("count.txt", 2), ("out/b", 2)]
    assert b"".join(runner.read("job-1", "count.txt")) == b"3\n"
    assert b"".join(runner.read("job-1", "count.txt", start=1)) == b"\n"
    for path in ("link", "../order.json", "missing"):
        with pytest.raises(RunnerError):
            next(runner.read("job-1", path))


def test_secrets_are_in_the_environment_and_in_no_file(runner: ProcessRunner, tmp_path: Path) -> None:
    state, log = run(runner, "echo $EPOCHS ${#HF_TOKEN}", env={"EPOCHS": "3"}, secrets={"HF_TOKEN": SECRET})
    assert (state.exit_code, log) == (0, [f"3 {len(SECRET)}"])
    for path in (tmp_path / "jobs").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_nothing_of_the_sellers_environment_is_in_it(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLER_PRIVATE_KEY", "0xsecret")
    _, log = run(runner, "env")
    assert not [line for line in log if "SELLER" in line or "secret" in line]


def test_setup_comes_first_and_its_failure_is_the_sellers(runner: ProcessRunner) -> None:
    state, log = run(runner, "cat prepared", setup="echo ready > prepared")
    assert (state.exit_code, log) == (0, ["ready"])


def test_a_setup_that_fails_is_no_exit_code_of_the_program(runner: ProcessRunner) -> None:
    state, log = run(runner, "echo never", setup="exit 3")
    assert (state.exit_code, state.reason, log) == (None, "setup ended with exit code 3", [])


def test_the_paid_time_ends_a_job(runner: ProcessRunner) -> None:
    state, _ = run(runner, "trap '' TERM; sleep 60", duration_s=0.3)
    assert (state.exit_code, state.reason) == (None, "the paid time has ended")


def test_stopped_with_all_its_children(runner: ProcessRunner, tmp_path: Path) -> None:
    runner.start(order(f"{SLEEP} & ({SLEEP} &) ; touch up; {SLEEP}", outputs=["up"]))
    eventually(lambda: any(tmp_path.rglob("work/up")), DEADLINE_S)
    runner.stop("job-1", "the buyer cancelled it")
    assert ended(runner).reason == "the buyer cancelled it"
    assert processes(SLEEP) == []


def test_killed_halfway_it_resumes_elsewhere_from_its_checkpoint(runner: ProcessRunner, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING)
    files = {"train.py": tmp_path / "train.py"}
    command = "sed -i s/STOP/$STOP/ train.py && python train.py"
    options = {"inputs": files, "checkpoint": "checkpoint", "outputs": ["model.bin", "metrics.jsonl"]}
    runner.start(order(command, env={"STOP": "3"}, **options))
    eventually(lambda: any(tmp_path.rglob("work/reached")), DEADLINE_S)
    eventually(lambda: {"weights.bin", "progress.json"} == {entry.path for entry in newest(runner).files}, DEADLINE_S)
    eventually(lambda: b"".join(runner.read("job-1", "weights.bin", 0, newest(runner).sha256))[:1] == b"\3", DEADLINE_S)
    (supervisor,) = supervisors(tmp_path)
    children = supervisor.children(recursive=True)
    supervisor.kill()
    if runner._sandbox is False:
        for child in children:
            child.kill()
    eventually(lambda: runner.state("job-1").phase == "ended", DEADLINE_S)
    assert (runner.state("job-1").exit_code, runner.state("job-1").reason) == (None, NODE_LOST)
    assert runner.files("job-1") == [entry for entry in runner.files("job-1") if entry.path != "model.bin"]
    copies = {}
    checkpoint = newest(runner)
    for entry in checkpoint.files:
        copies[entry.path] = tmp_path / f"copy-{entry.path}"
        copies[entry.path].write_bytes(b"".join(runner.read("job-1", entry.path, 0, checkpoint.sha256)))
    runner.start(order(command, job_id="job-2", env={"STOP": "0"}, resume=copies, **options))
    assert ended(runner, "job-2").exit_code == 0
    assert [metric["step"] for metric in runner.metrics("job-2", 0)[0]] == [4, 5, 6]
    assert FileEntry(
        "model.bin", 5, "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    ) in runner.files("job-2")


def test_started_again_it_runs_once(runner: ProcessRunner, tmp_path: Path) -> None:
    """A seller that comes back after a kill orders again what it does not know to be started."""
    job = order("echo run >> runs; cat runs", outputs=["runs"])
    runner.start(job)
    folder = JobFolder(*(tmp_path / "jobs").iterdir())
    supervisor = folder.pid.read_text()
    ProcessRunner(tmp_path / "jobs", sandbox=runner._sandbox).start(job)
    ended(runner)
    eventually(lambda: not folder.is_held(), DEADLINE_S)
    ProcessRunner(tmp_path / "jobs", sandbox=runner._sandbox).start(job)
    assert folder.pid.read_text() == supervisor
    assert runner.logs("job-1", 0)[0] == ["run"]


def test_adopted_by_another_seller_process(runner: ProcessRunner, tmp_path: Path) -> None:
    runner.start(order("while [ ! -e go ]; do sleep 0.05; done; echo done"))
    adopter = ProcessRunner(tmp_path / "jobs", sandbox=runner._sandbox)
    eventually(lambda: adopter.state("job-1").phase == "running", DEADLINE_S)
    next(tmp_path.rglob("work")).joinpath("go").touch()
    assert ended(adopter).exit_code == 0
    assert adopter.logs("job-1", 0)[0] == ["done"]


def test_logs_and_metrics_by_cursor(runner: ProcessRunner) -> None:
    metrics = ['{"step": 1, "loss": 2.5}', "no json", "[1]", '{"loss": NaN}', '{"name": "x"}', "[" * 50_000]
    run(
        runner,
        "for i in 1 2 3; do echo line $i; done; printf '%s\n' \"$LINES_OF\" > metrics.jsonl",
        env={"LINES_OF": "\n".join(metrics)},
    )
    first, cursor = runner.logs("job-1", 0)
    assert first == ["line 1", "line 2", "line 3"]
    assert runner.logs("job-1", cursor) == ([], cursor)
    assert runner.logs("job-1", 7) == (["line 2", "line 3"], cursor)
    assert runner.metrics("job-1", 0)[0] == [{"step": 1, "loss": 2.5}]


def test_jobs_that_must_not_outlive_their_seller_end_when_it_closes(runner: ProcessRunner, tmp_path: Path) -> None:
    seller = ProcessRunner(tmp_path / "jobs", sandbox=runner._sandbox, outlive=False)
    seller.start(order(SLEEP))
    eventually(lambda: seller.state("job-1").phase == "running", DEADLINE_S)
    seller.close()
    assert ended(runner).reason == "the seller has ended, and its jobs with it"
    assert processes(SLEEP) == []


def test_jobs_that_must_not_outlive_their_seller_end_when_it_is_killed(runner: ProcessRunner, tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\nfrom seller.runners import JobOrder\n"
        "from seller.runners.process import ProcessRunner\n"
        f"seller = ProcessRunner(pathlib.Path(sys.argv[1]), sandbox={runner._sandbox}, outlive=False)\n"
        f"seller.start(JobOrder('job-1', '{SLEEP}', 60.0)); print('started', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "jobs")]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as seller:
        assert seller.stdout
        assert seller.stdout.readline() == b"started\n"
        eventually(lambda: runner.state("job-1").phase == "running", DEADLINE_S)
        seller.kill()
    assert ended(runner).reason == "the seller has ended, and its jobs with it"
    assert processes(SLEEP) == []


def test_a_machine_that_is_lost(runner: ProcessRunner) -> None:
    runner.start(order(SLEEP))
    eventually(lambda: runner.state("job-1").phase == "running", DEADLINE_S)
    runner.kill("job-1")
    assert (runner.state("job-1").exit_code, runner.state("job-1").reason) == (None, NODE_LOST)
    assert processes(SLEEP) == []
    runner.start(order(SLEEP))
    assert runner.state("job-1").phase == "ended", "a job is never started twice"


def test_checkpoints_that_were_asked_for_stay_readable(sandbox: ProcessRunner, tmp_path: Path) -> None:
    step = "echo $i > c/w; echo '{}' > c/p; mv c/p c/progress.json; while [ ! -e go$i ]; do sleep 0.02; done"
    steps = f"for i in 1 2 3 4 5 6; do {step}; done"
    sandbox.start(order(f"mkdir c; {steps}", checkpoint="c"))

    def checkpoint_of(step: int) -> Checkpoint:
        eventually(lambda: content(newest(sandbox)) == f"{step}\n", DEADLINE_S)
        return newest(sandbox)

    def content(checkpoint: Checkpoint) -> str:
        if not checkpoint.files:
            return ""
        return b"".join(sandbox.read("job-1", "w", 0, checkpoint.sha256)).decode()

    work = next(tmp_path.rglob("work"))
    first = checkpoint_of(1)
    for step in (1, 2, 3):
        (work / f"go{step}").touch()
        checkpoint_of(step + 1)
        assert content(first) == "1\n", "what is being fetched stays"
    for step in (4, 5):
        (work / f"go{step}").touch()
        checkpoint_of(step + 1)
    (work / "go6").touch()
    assert ended(sandbox).exit_code == 0
    assert len(list(next(tmp_path.rglob("checkpoints")).iterdir())) <= 4
    with pytest.raises(RunnerError, match="no checkpoint"):
        next(sandbox.read("job-1", "w", 0, "a" * 64))


def test_a_checkpoint_that_is_being_written_is_not_kept(sandbox: ProcessRunner, tmp_path: Path) -> None:
    """New weights beside the old progress.json are no checkpoint, however long they lie there."""
    first = "mkdir c; echo 1 > c/w; echo 1 > c/p; mv c/p c/progress.json; while [ ! -e go ]; do sleep 0.02; done"
    sandbox.start(order(f"{first}; echo 2 > c/w", checkpoint="c"))
    eventually(lambda: newest(sandbox).files, DEADLINE_S)
    before = newest(sandbox)
    next(tmp_path.rglob("work")).joinpath("go").touch()
    assert ended(sandbox).exit_code == 0
    assert newest(sandbox) == before


def test_the_last_line_counts_without_its_end(sandbox: ProcessRunner) -> None:
    run(sandbox, "printf 'one\\ntwo'; printf '{\"step\": 1}' > metrics.jsonl")
    assert sandbox.logs("job-1", 0)[0] == ["one", "two"]
    assert sandbox.metrics("job-1", 0)[0] == [{"step": 1}]


def test_of_a_long_log_the_end_is_given_once_the_job_is_over(sandbox: ProcessRunner) -> None:
    metric = '{"step": %d, "loss": 1}'
    run(
        sandbox,
        f"seq -f 'line %g' 1 50000; seq 1 9000 | while read i; do printf '{metric}\\n' $i; done > metrics.jsonl",
    )
    lines, cursor = sandbox.logs("job-1", 0)
    assert lines[0].endswith("bytes left out)")
    assert (lines[-1], len(lines)) == ("line 50000", 1_000)
    assert sandbox.logs("job-1", cursor) == ([], cursor)
    assert sandbox.metrics("job-1", 0)[0][-1]["step"] == 9_000, "the success test is about the last"


def test_inputs_that_cannot_be_laid_out_start_nothing(sandbox: ProcessRunner, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="cannot be laid out"):
        sandbox.start(order("true", inputs={"a": tmp_path / "missing"}))
    with pytest.raises(RunnerError, match="there is no job"):
        sandbox.state("job-1")


def test_two_sellers_of_one_machine_may_name_their_jobs_alike(tmp_path: Path) -> None:
    """The end of a job at one, with all of its control group, is none of the other's."""
    one, other = (ProcessRunner(tmp_path / name / "jobs") for name in ("one", "other"))
    for runner in (one, other):
        runner.start(order("touch up; sleep 60", outputs=["up"]))
    eventually(lambda: len([*tmp_path.rglob("work/up")]) == 2, DEADLINE_S)
    one.forget("job-1")
    assert other.state("job-1").phase == "running"
    other.forget("job-1")


def test_forgotten_it_is_gone(runner: ProcessRunner, tmp_path: Path) -> None:
    runner.start(order("sleep 60"))
    runner.forget("job-1")
    assert list((tmp_path / "jobs").iterdir()) == []
    with pytest.raises(RunnerError, match="there is no job"):
        runner.state("job-1")


@pytest.mark.parametrize(
    ("attack", "seen"),
    [
        ("cat /etc/passwd || echo hidden", "hidden"),
        ("ls /root /home /work /tmp | wc -l", ""),
        (
            "python -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:1', timeout=3)\" || echo no network",
            "no network",
        ),
        (
            "python -c \"import socket; socket.create_connection(('169.254.169.254', 80), 3)\" || echo no network",
            "no network",
        ),
        ("ls /proc | grep -c '^[0-9]'", ""),
        ("touch /usr/x || echo read-only", "read-only"),
        ("kill -9 1 ; echo alive", "alive"),
        ("grep CapEff /proc/self/status", "0000000000000000"),
        ("unshare -U true || echo no namespaces", "no namespaces"),
        ("head -c 1G /dev/zero > /tmp/x || echo full", "full"),
        ("head -c 1G /dev/zero > /dev/shm/x || echo full", "full"),
        ("cat ../order.json || echo hidden", "hidden"),
    ],
)
def test_what_a_job_sees_of_the_machine(sandbox: ProcessRunner, attack: str, seen: str) -> None:
    _, log = run(sandbox, attack)
    assert seen in "\n".join(log)
    if "proc |" in attack:
        assert int(log[0]) < 6, "its own processes only"


@pytest.mark.parametrize("network", [True, False])
def test_a_job_has_this_machine_s_network_only_where_its_seller_says_so(tmp_path: Path, network: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3); print('reached')"
        _, log = run(ProcessRunner(tmp_path / "jobs", network=network), f'python -c "{program}"')
    assert ("reached" in log) is network


def test_a_python_below_the_temporary_files_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As below a home: the job's own empty folders do not hide it."""
    (tmp_path / "tool").write_text("from below")
    monkeypatch.setattr(sandbox_module, "python_folders", lambda: [str(tmp_path)])
    with sealed(tmp_path, None, {}) as arguments:
        argv = sandboxed(["/bin/cat", str(tmp_path / "tool")], arguments)
        job = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=True, pass_fds=[arguments])
    assert job.stdout == "from below"


def test_where_bubblewrap_may_not_run_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RunnerError, match="No permissions to create new namespace"):
        ProcessRunner(tmp_path / "jobs")


def test_without_bubblewrap_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunnerError, match="apt-get install bubblewrap"):
        ProcessRunner(tmp_path / "jobs")
