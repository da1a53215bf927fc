"""Control groups: real ones where this machine has them, and both versions as files."""

import os
import subprocess
from pathlib import Path

import pytest

from seller.runners import Limits, cgroup
from seller.runners.cgroup import Cgroup
from tests.support.eventually import eventually

LIMITS = Limits(memory=64_000_000, cpus=0.5, pids=30)
VERSION_1 = {
    "memory/own": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "pids": ("pids.max",),
    "cpu,cpuacct": ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
}


def test_groups_of_version_1_are_below_our_own(tmp_path: Path) -> None:
    """Below the seller's own groups, in each controller's hierarchy."""
    own = tmp_path / "own"
    own.write_text("9:name=systemd:/\n8:pids:/\n4:memory:/own\n1:cpu,cpuacct:/\n0::/\n")
    for folder, names in VERSION_1.items():
        (tmp_path / "fs" / folder / "gpuagent-job").mkdir(parents=True)
        for name in (*names, "cgroup.procs"):
            (tmp_path / "fs" / folder / "gpuagent-job" / name).touch()
    group = cgroup.make("job", LIMITS, tmp_path / "fs", own)
    assert [group.bounds(name) for name in ("memory", "pids", "cpu")] == [True, True, True]
    values = {
        name: (tmp_path / "fs" / folder / "gpuagent-job" / name).read_text()
        for folder, names in VERSION_1.items()
        for name in names
    }
    assert values == {
        "memory.limit_in_bytes": "64000000",
        "memory.memsw.limit_in_bytes": "64000000",
        "pids.max": "30",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
    }


def test_groups_of_version_2_are_beside_our_own(tmp_path: Path) -> None:
    """Beside the seller's own group, which has processes and so no groups below."""
    service = tmp_path / "fs" / "system.slice" / "seller.service"
    (service / "gpuagent-job").mkdir(parents=True)
    for path in (tmp_path / "fs" / "cgroup.controllers", service / "cgroup.subtree_control", service / "cgroup.procs"):
        path.touch()
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs"):
        (service / "gpuagent-job" / name).touch()
    own = tmp_path / "own"
    own.write_text("0::/system.slice/seller.service/seller\n")
    group = cgroup.make("job", LIMITS, tmp_path / "fs", own)
    assert group.bounds("memory")
    assert group.bounds("pids")
    texts = [(service / "gpuagent-job" / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")]
    assert texts == ["64000000", "0", "50000 100000"]
    (service / "gpuagent-job" / "memory.events").write_text("low 0\nmax 7\noom 2\noom_kill 1\n")
    assert group.memory_kills() == 1
    (service / "cgroup.procs").unlink()
    assert not cgroup.make("job", LIMITS, tmp_path / "fs", own).bounds("memory"), "no process could be put into it"


def test_where_none_can_be_made(tmp_path: Path) -> None:
    group = cgroup.make("job", LIMITS, tmp_path / "fs", tmp_path / "missing")
    assert not group.bounds("memory")
    assert group.memory_kills() == 0
    group.enter()
    group.remove()


def test_of_this_machine() -> None:
    """Its processes are in it, and none is left when it is removed."""
    name = f"test-of-cgroups-{os.getpid()}"
    group = cgroup.make(name, LIMITS)
    if not group.bounds("pids"):
        pytest.fail("no control group can be made here: run the tests as root, or in a delegated group")
    with subprocess.Popen(["sleep", "82"], preexec_fn=group.enter) as process:
        folders = [path for path in group._paths() if (path / "cgroup.procs").read_text().split() == [str(process.pid)]]
        assert folders == group._paths()
        cgroup.of(name).remove()
        eventually(lambda: process.poll() is not None)
        assert process.returncode < 0, "it was killed"
    assert not [path for path in group._paths() if path.exists()]
    assert isinstance(group, Cgroup)
