"""Jobs that attack the machine that runs them, in each runner, on the real isolation of this machine's kernel."""

import os
import stat
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from seller.runners import Limits
from seller.runners.keeper import CHECKPOINT_FILES
from tests.conftest import SafetyNote
from tests.support import attacks_on_sellers as attacks
from tests.support.cell import KINDS, MEGABYTE, SECRET, Cell, open_cell
from tests.support.container_engine import OwnEngine
from tests.support.eventually import eventually
from tests.support.job_sleeps import processes

LIMITS = Limits(memory=64 * MEGABYTE, cpus=1.0, pids=40, disk=40 * MEGABYTE, files=1_200, outputs=5 * MEGABYTE)
SELLER_VARIABLE = "SELLER_PRIVATE_KEY"
BOMBS: dict[str, dict[str, Any]] = {
    "forks": {"script": attacks.FORKS, "duration_s": 2.0},
    "memory": {"script": attacks.MEMORY},
    "disk": {"script": attacks.DISK},
    "unlinked": {"script": attacks.UNLINKED},
    "many files": {"script": attacks.MANY_FILES},
    "log": {"script": attacks.LOG},
    "manifest": {
        "script": attacks.MANIFEST,
        "outputs": ["large", *(f"o{i}" for i in range(999))],
        "checkpoint": "c",
        "limits": Limits(pids=40, outputs=5 * MEGABYTE),
    },
    "survivors": {"script": attacks.SURVIVORS, "duration_s": 1.0},
}


@pytest.fixture(scope="module", params=KINDS)
def cell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: OwnEngine) -> Iterator[Cell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SELLER_VARIABLE, SECRET)
        with open_cell(request.param, tmp_path_factory.mktemp(request.param), engine, LIMITS) as cell:
            yield cell


@pytest.fixture(scope="module")
def bombs(cell: Cell) -> Cell:
    """All at once, as many a seller's day."""
    for name, options in BOMBS.items():
        cell.start(name, **options)
    return cell


@pytest.fixture(scope="module")
def looks(cell: Cell) -> dict[str, list[str]]:
    """What a job saw, by what it was looking for."""
    cell.start("neighbour", attacks.WAIT, env=attacks.LOADER)
    cell.start("looks", attacks.looking())
    state = cell.ended("looks")
    assert state.reason == "", state
    sights: dict[str, list[str]] = {}
    name = ""
    for line in cell.log("looks"):
        if line.startswith("== "):
            name = line.removeprefix("== ")
            sights[name] = []
        elif line:
            sights[name].append(line)
    assert list(sights) == list(attacks.LOOKS)
    assert "lives" in sights["processes"], "kill -9 -1 takes all but the one that kills"
    assert cell.runner.state("neighbour").phase == "running", "no other job came to harm"
    return sights


@pytest.mark.safety(
    "a job reads none of its seller's files: key, database, other jobs, /etc/shadow, by path or by link"
)
def test_files_of_the_host(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    seen = "\n".join(looks["files"])
    assert SECRET not in seen
    assert not [line for line in looks["files"] if line.startswith("root:")], "no line of /etc/shadow"
    assert "durationS" not in seen, "nor of an order"
    assert not [line for line in looks["files"] if line.startswith("/") and ":" not in line], "nothing by these names"
    assert not (cell.work("looks") / "stolen").exists()
    assert not (cell.work("looks") / "hard").exists()
    failures = sum("No such file" in line or "can't" in line or "denied" in line for line in looks["files"])
    safety_note(f"{failures} looks failed with no such file or permission denied; its own files were all it saw")


@pytest.mark.safety("a job sees no variable of its seller's environment, and no command line of it")
def test_environment_of_the_seller(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    seen = "\n".join(looks["environment"])
    assert SELLER_VARIABLE not in seen
    assert SECRET not in seen
    assert "HOME=" in seen, "its own it sees"
    assert str(cell.work("looks")) not in seen, "nor where on the machine it runs"
    safety_note("it saw the variables of its order, and neither the seller's key nor where on the machine it runs")


@pytest.mark.safety("a job reaches no socket of the machine: by file, by abstract name, by the loopback interface")
def test_sockets_of_the_host(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    seen = "\n".join(looks["sockets"])
    assert cell.abstract not in seen
    assert "reached" not in seen
    assert not cell.was_called()
    assert not [line for line in looks["sockets"] if line.startswith("/")], "no socket in its files"
    safety_note(
        "no socket among its files, none by an abstract name, and the seller's port on 127.0.0.1 was not called"
    )


@pytest.mark.safety("a job has no network: no interface but its own loopback, no route, no cloud metadata")
def test_network(looks: dict[str, list[str]], safety_note: SafetyNote) -> None:
    lines = looks["network"]
    assert lines[0].strip() == "lo"
    seen = "\n".join(lines)
    assert "metadata" not in seen.replace("meta-data", "")
    assert "out" not in [line.strip() for line in lines]
    assert "unreachable" in seen
    safety_note("interfaces: lo; 1.1.1.1 and 169.254.169.254: network is unreachable")


@pytest.mark.safety("a job has no capability and gains none, by a setuid program of its own either")
def test_rights(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    fields = dict(line.split(":", 1) for line in looks["rights"] if line.startswith(("Uid", "Cap", "NoNewPrivs")))
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"].strip() == "1"
    assert set(fields["Uid"].split()) == {"65534"}
    ids = [line for line in looks["rights"] if line.isdigit()]
    assert ids == ["65534"], looks["rights"]
    assert "uid=0" not in "\n".join(looks["rights"])
    assert stat.S_IMODE((cell.folder / "jobs").stat().st_mode) == 0o700, "what it left is out of others' reach"
    safety_note(
        "user 65534, all five sets of capabilities 0, no new privileges; its setuid copy of a program ran as 65534"
    )


@pytest.mark.safety("a job changes nothing of the system: no file, mount, device, kernel setting, namespace")
def test_system(looks: dict[str, list[str]], safety_note: SafetyNote) -> None:
    seen = "\n".join(looks["system"])
    for deed in ("opened", "mounted", "remounted", "made a device", "read memory", "changed root"):
        assert deed not in seen.replace("not mounted", ""), deed
    devices = set(looks["system"][-1].split())
    assert not {name for name in devices if name.startswith(("sd", "vd", "nvme", "mem", "kmsg", "kvm", "fuse", "loop"))}
    safety_note(f"read-only, not permitted or not there, each of them; devices: {' '.join(sorted(devices))}")


@pytest.mark.safety("a job sees no process but its own: it can neither signal nor trace its seller")
def test_processes_of_the_host(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    assert int(looks["processes"][0]) < 8
    (line,) = [line for line in looks["processes"] if line.startswith("names: ")]
    names = set(line.split()[1:])
    assert "cat" in names, "its own it sees"
    assert not names & {"python", "python3", "conmon", "podman", "systemd", "init"}
    assert psutil.Process(os.getpid()).status() != psutil.STATUS_STOPPED
    assert cell.job_folder("neighbour").is_held(), "its supervisor lives"
    safety_note("no process in its sight but its own and bubblewrap's; kill -9 -1 ended its own alone")


@pytest.mark.safety("a job that forks without end is held at its number of processes, and ends with its paid time")
def test_a_fork_bomb(bombs: Cell, safety_note: SafetyNote) -> None:
    state = bombs.ended("forks")
    forked = int((bombs.work("forks") / "forked").read_text())
    assert forked <= LIMITS.pids
    assert "all" not in bombs.log("forks")
    words = next((line for line in bombs.log("forks") if "fork" in line), "")
    safety_note(f"of 300 processes those up to the limit of {LIMITS.pids}, then {words.rpartition(': ')[2]!r}")
    assert words, state


@pytest.mark.safety(
    "a job that takes more memory than it was sold is ended in words, though each of its processes takes less"
)
def test_memory(bombs: Cell, safety_note: SafetyNote) -> None:
    state = bombs.ended("memory")
    assert (state.exit_code, state.reason) == (None, "it used more than its memory (64 MB)")
    safety_note(f"eight processes of 24 MB: {state.reason}")


@pytest.mark.safety("a job that fills the disk is ended in words: by a file, by one without a name, by many")
def test_disk(bombs: Cell, safety_note: SafetyNote) -> None:
    reasons = {}
    for name, words in (("disk", "MB of disk"), ("unlinked", "MB of disk"), ("many files", "files")):
        state = bombs.ended(name)
        assert state.exit_code is None
        assert words in state.reason, (name, state)
        reasons[name] = state.reason
    safety_note("; ".join(dict.fromkeys(reasons.values())))


@pytest.mark.safety(
    "a job that fills files in memory, such as /tmp, /dev/shm and its image's volumes, comes to their end"
)
def test_files_in_memory(looks: dict[str, list[str]], safety_note: SafetyNote) -> None:
    lines = looks["memory files"]
    assert not [line for line in lines if line.startswith("all in")]
    assert len([line for line in lines if "No space left" in line]) >= 2, "/tmp and /dev/shm at least"
    safety_note(
        "400 MB in any of /tmp, /dev/shm, /var/tmp, /run, /home, /data: no space left on device, or no such folder"
    )


@pytest.mark.safety("a job that floods its log is ended in words, and the log is bounded")
def test_log(bombs: Cell, safety_note: SafetyNote) -> None:
    state = bombs.ended("log")
    assert state.reason == "it wrote more than 20 MB of log"
    size = bombs.job_folder("log").log.stat().st_size
    safety_note(f"{state.reason}, of which the end is given")
    assert size < 400 * MEGABYTE


@pytest.mark.safety("outputs and checkpoints without end are not listed: the job's state says so")
def test_manifest(bombs: Cell, safety_note: SafetyNote) -> None:
    state = bombs.ended("manifest")
    assert state.exit_code is None
    assert "its outputs are 6 MB" in state.reason
    assert bombs.runner.checkpoint("manifest") is None
    safety_note(f"{state.reason}; a checkpoint of more than {CHECKPOINT_FILES} files was not kept")


@pytest.mark.safety("no process outlives the paid time: not by setsid, a double fork, nohup or deafness to SIGTERM")
def test_survivors(bombs: Cell, safety_note: SafetyNote) -> None:
    state = bombs.ended("survivors")
    assert state.reason == "the paid time has ended"
    assert processes(attacks.SLEEP) == []
    safety_note(f"{state.reason}; of all its processes none was left")


@pytest.mark.safety(
    "links, fifos and devices among outputs, metrics and checkpoints are not followed and not delivered"
)
def test_links(cell: Cell, safety_note: SafetyNote) -> None:
    outputs = [
        "good",
        "link",
        "root/etc/passwd",
        "fifo",
        "hard",
        "device",
        "folder",
        "linked/w",
        "c/a",
        "metrics.jsonl",
    ]
    cell.start("links", attacks.LINKS, outputs=outputs, checkpoint="c")
    assert cell.ended("links").exit_code is not None
    assert [entry.path for entry in cell.runner.files("links")] == ["good"]
    checkpoint = cell.runner.checkpoint("links")
    assert checkpoint
    assert {entry.path for entry in checkpoint.files} == {"w", "progress.json"}
    assert cell.runner.metrics("links", 0) == ([], 0)
    kept = [path for path in cell.job_folder("links").path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    safety_note("delivered: the plain file alone; in the checkpoint: its two plain files; of the key not a byte")


@pytest.mark.safety("a job that rewrites its own metrics and progress harms no one: numbers are read, cursors stay")
def test_metrics(cell: Cell, safety_note: SafetyNote) -> None:
    cell.start("metrics", attacks.METRICS, checkpoint="c")
    eventually(lambda: len(cell.runner.metrics("metrics", 0)[0]) == 50)
    eventually(lambda: cell.runner.checkpoint("metrics"))
    before = cell.runner.checkpoint("metrics")
    _, cursor = cell.runner.metrics("metrics", 0)
    (cell.work("metrics") / "go").touch()
    assert cell.ended("metrics").exit_code == 0
    assert cell.runner.metrics("metrics", cursor) == ([], cursor)
    assert cell.runner.metrics("metrics", 0)[0] == [{"step": 3}]
    assert cell.runner.checkpoint("metrics") == before
    safety_note(
        "50 metrics, then none from the cursor on; infinity was left out, and the kept checkpoint stayed as it was"
    )


@pytest.mark.safety("variables of a job that steer the loader (LD_PRELOAD) are set inside, not for what confines it")
def test_variables_for_the_loader(looks: dict[str, list[str]], cell: Cell, safety_note: SafetyNote) -> None:
    traces = [path.read_text() for path in cell.work("neighbour").glob("trace.*")]
    for confiner in ("bwrap", "prlimit", "podman", "conmon", "runc"):
        assert not [trace for trace in traces if f"/{confiner}" in trace], confiner
    if cell.kind == "process":  # the container's programs are static
        assert [trace for trace in traces if "program: /bin/sh" in trace], "inside they work"
    safety_note("programs that got the variables: those inside; of the confining ones none")
