"""A control group of one job: memory, processes and CPU of all its programs together, bounded by the kernel.

Made by hand, where this user may: below the seller's own group in version 1; in version 2 beside it, as a group with
processes has no groups below. A service of systemd gets that by Delegate=yes and DelegateSubgroup=seller.
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from seller.runners.base import Limits

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
PROCESSES = "cgroup.procs"
OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")
"""Where the kernel counts no swap, or is older."""
REMOVE_S, POLL_S = 2.0, 0.01


class Cgroup:
    """The folders of a job's group: one in version 2, one of each controller in version 1."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    def bounds(self, controller: str) -> bool:
        return controller in self._folders

    def enter(self, process: int = 0) -> None:
        """Puts a process into the group, by default the one that calls, and so all that it starts."""
        for folder in self._paths():
            (folder / PROCESSES).write_text(str(process))

    def memory_kills(self) -> int:
        """How often the kernel killed a process of the group because its memory was used up."""
        folder = self._folders.get("memory")
        if not folder:
            return 0
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                counts = re.findall(r"^oom_kill (\d+)$", (folder / name).read_text(), re.MULTILINE)
                return sum(map(int, counts))
        return 0

    def remove(self) -> None:
        """Kills what is left in the group, and removes it."""
        give_up = time.monotonic() + REMOVE_S
        for folder in self._paths():
            while folder.is_dir() and time.monotonic() < give_up:
                with suppress(OSError):
                    for process in (folder / PROCESSES).read_text().split():
                        with suppress(ProcessLookupError):
                            os.kill(int(process), 9)
                    folder.rmdir()
                    break
                time.sleep(POLL_S)

    def _paths(self) -> list[Path]:
        return list(dict.fromkeys(self._folders.values()))


def name_of(folder: Path) -> str:
    """A job's name among the groups of a machine, by its folder: another seller here may have a job of the same id."""
    return f"{folder.name}-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]}"


def make(name: str, limits: Limits, root: Path = ROOT, own: Path = OWN) -> Cgroup:
    """The group of a job, with the controllers that are to be had: perhaps none."""
    folders = {}
    places, version_2 = _places(name, root, own)
    for controller, folder in places.items():
        if version_2:
            with suppress(OSError):
                (folder.parent / "cgroup.subtree_control").write_text(f"+{controller}")
        if settings := _settings(controller, limits, version_2):
            with suppress(OSError):
                folder.mkdir(exist_ok=True)
                for file, value in settings:
                    if file not in OPTIONAL or (folder / file).exists():
                        (folder / file).write_text(value)
                if all(os.access(path / PROCESSES, os.W_OK) for path in (folder, *[folder.parent] * version_2)):
                    folders[controller] = folder  # else no process could be put into it
    return Cgroup(folders)


def of(name: str, root: Path = ROOT, own: Path = OWN) -> Cgroup:
    """The group of a job that a supervisor left behind."""
    return Cgroup({key: path for key, path in _places(name, root, own)[0].items() if path.is_dir()})


def of_process(process: int, root: Path = ROOT) -> Cgroup:
    """The group that a process is in, as an engine has made it: for its memory alone. Raises OSError."""
    for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if "memory" in names.split(",") or (not names and (root / "cgroup.controllers").exists()):
            return Cgroup({"memory": root / names / path.lstrip("/")})
    return Cgroup({})


def _places(name: str, root: Path, own: Path) -> tuple[dict[str, Path], bool]:
    """Where the group is, by controller, and whether that is version 2."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return {}, False
    if (root / "cgroup.controllers").exists():
        path = next((path.strip("/") for _, names, path in lines if not names), "")
        parent = (root / path).parent if path else root
        return dict.fromkeys(CONTROLLERS, parent / f"gpuagent-{name}"), True
    places = {}
    for _, names, path in lines:
        for controller in set(names.split(",")) & set(CONTROLLERS):
            places[controller] = root / names / path.lstrip("/") / f"gpuagent-{name}"
    return places, False


def _settings(controller: str, limits: Limits, v2: bool) -> list[tuple[str, str]]:
    quota = str(int(limits.cpus * CPU_PERIOD_US))
    match controller:
        case "memory" if limits.memory and v2:
            return [("memory.max", str(limits.memory)), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
        case "memory" if limits.memory:
            return [(file, str(limits.memory)) for file in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")]
        case "pids" if limits.pids:
            return [("pids.max", str(limits.pids))]
        case "cpu" if limits.cpus and v2:
            return [("cpu.max", f"{quota} {CPU_PERIOD_US}")]
        case "cpu" if limits.cpus:
            return [("cpu.cfs_period_us", str(CPU_PERIOD_US)), ("cpu.cfs_quota_us", quota)]
    return []
