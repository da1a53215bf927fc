"""The unit of a seller: systemd takes every line of it, and under it jobs run in bubblewrap and outlive a restart."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.systemd_machine import SystemdMachine, booted

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/seller/gpuagent-seller.service"
PROGRAM, CONFIGURATION = "/opt/gpuagent/.venv/bin/gpuagent", "/etc/gpuagent/seller.yaml"
NEWER = {"DelegateSubgroup": 254}
"""Keys that an older systemd passes over, and since which version they are known."""

# In the place of `gpuagent sell`: the real runner, with one job, and no market.
SELLER = f"""#!/usr/bin/python3
import os, signal, sys, time
sys.path.insert(0, "/src")
from collections.abc import Iterator
from pathlib import Path
from seller.runners.base import JobOrder
from seller.runners.process import ProcessRunner
assert sys.argv[1:] == ["sell", "--config", "{CONFIGURATION}"], sys.argv
assert os.environ["SELLER_PRIVATE_KEY"] == "0x1"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
runner = ProcessRunner(Path.home() / "jobs")
count = "echo begin; id -u; i=0; while sleep 0.05; do i=$((i+1)); echo $i; done"
runner.start(JobOrder(job_id="job", command=count, duration_s=120))
while True:
    lines, _ = runner.logs("job", 0)
    Path("seen.part").write_text(" ".join([str(os.getpid()), runner.state("job").phase, *lines[:2], str(len(lines))]))
    Path("seen.part").replace("seen")
    time.sleep(0.02)
"""


def complaints(unit: Path) -> list[str]:
    """What systemd says about a unit, but for keys that are newer than it."""
    if not shutil.which("systemd-analyze"):
        pytest.fail("systemd-analyze checks the unit, and is not here: apt-get install systemd")
    version = re.search(r"\d+", subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True).stdout)
    assert version
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(unit)]
    words = subprocess.run(command, capture_output=True, text=True, timeout=240).stderr.splitlines()
    newer = [f"Unknown key '{key}' " for key, since in NEWER.items() if int(version[0]) < since]
    return [line for line in words if not any(key in line for key in newer)]


def installed(folder: Path, text: str) -> Path:
    """The unit on a machine where its program is there."""
    path = folder / UNIT.name
    path.write_text(text.replace(PROGRAM, "/bin/true"))
    return path


def test_systemd_takes_every_line(tmp_path: Path) -> None:
    assert complaints(installed(tmp_path, UNIT.read_text())) == []


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("UMask=0077", "Umask=0077"),
        ("OOMPolicy=continue", "OOMPolicy=sometimes"),
        ("TimeoutStopSec=90", "TimeoutStopSec=soon"),
        (PROGRAM, "bin/gpuagent"),
    ],
)
def test_the_check_of_the_unit_bites(tmp_path: Path, line: str, broken: str) -> None:
    text = UNIT.read_text()
    assert line in text
    assert complaints(installed(tmp_path, text.replace(line, broken))) != []


def with_drop_in(folder: Path, text: str) -> Path:
    """Podman's socket with our addition, on a machine where Podman is there."""
    (folder / "podman.socket.d").mkdir()
    (folder / "podman.socket.d/gpuagent-seller.conf").write_text(text.replace("gpuagent-seller\n", "root\n"))
    (folder / "podman.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "podman.socket").write_text("[Socket]\nListenStream=%t/podman/podman.sock\n")
    return folder / "podman.socket"


def test_systemd_takes_the_group_of_podmans_socket(tmp_path: Path) -> None:
    text = (UNIT.parent / "podman-socket.conf").read_text()
    assert complaints(with_drop_in(tmp_path, text)) == []


def test_the_check_of_the_drop_in_bites(tmp_path: Path) -> None:
    text = (UNIT.parent / "podman-socket.conf").read_text()
    assert complaints(with_drop_in(tmp_path, text.replace("SocketGroup", "SocketGroups"))) != []


@pytest.fixture
def machine() -> Iterator[SystemdMachine]:
    with booted(f"--volume={ROOT / 'seller'}:/src/seller:ro", "--env=PYTHONDONTWRITEBYTECODE=1") as machine:
        machine.run("useradd", "--system", "gpuagent-seller")
        machine.write(PROGRAM, SELLER, "755")
        machine.write("/etc/gpuagent/seller.env", "SELLER_PRIVATE_KEY=0x1\n", "600")
        machine.write(f"/etc/systemd/system/{UNIT.name}", UNIT.read_text())
        machine.systemctl("daemon-reload")
        yield machine


def seen(machine: SystemdMachine) -> tuple[int, str, int]:
    """The seller's process, its job's phase, and how far that has counted; zeros before there is anything."""
    words = machine.run("sh", "-c", "cat /var/lib/gpuagent-seller/seen 2>/dev/null || true").split()
    if len(words) < 5:
        return 0, "", 0
    process, phase, first, user, lines = words
    assert (first, user) == ("begin", "65534")  # it began once, as nobody
    return int(process), phase, int(lines)


def seen_later(machine: SystemdMachine, process: int, lines: int) -> tuple[int, str, int]:
    """What is seen once another process sells, and the job has counted further."""

    def look() -> tuple[int, str, int] | None:
        now = seen(machine)
        return now if now[0] not in (0, process) and now[2] > lines else None

    try:
        return eventually(look)
    except AssertionError as error:
        raise AssertionError(machine.journal("gpuagent-seller")) from error


def sandboxes(machine: SystemdMachine) -> int:
    return int(machine.run("sh", "-c", "cat /proc/[0-9]*/comm | grep -c -x bwrap || true"))


def test_a_job_runs_under_the_unit_and_outlives_a_restart(machine: SystemdMachine) -> None:
    machine.systemctl("start", "gpuagent-seller")
    seller, phase, lines = seen_later(machine, 0, 3)
    assert phase == "running"
    assert machine.run("stat", "--format=%U %a", "/var/lib/gpuagent-seller") == "gpuagent-seller 700"
    machine.systemctl("restart", "gpuagent-seller")
    _, phase, _ = seen_later(machine, seller, lines)
    assert phase == "running"
    machine.systemctl("stop", "gpuagent-seller")
    assert sandboxes(machine) > 0
    machine.systemctl("kill", "--kill-whom=all", "--signal=KILL", "gpuagent-seller")
    eventually(lambda: sandboxes(machine) == 0)
