"""The processes of this machine, as /proc shows them. Where there is no /proc, there are none."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
POLL_S = 0.002


def descendants(process: int) -> list[int]:
    """A process's children, and theirs, the nearest first. In a PID namespace an orphan is a child of its first."""
    processes, position = [process], 0
    while position < len(processes):
        parent = processes[position]
        position += 1
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                with suppress(OSError):
                    children = (thread / "children").read_text().split()
                    processes += [int(child) for child in children]
    return processes[1:]


def resident_bytes(processes: list[int]) -> int:
    """The memory of processes; what they share counts for each of them."""
    total = 0
    for process in processes:
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    return total


def freeze(process: int) -> None:
    """Stops a process; it has stopped when this returns. Raises ProcessLookupError, FileNotFoundError if it is gone."""
    os.kill(process, signal.SIGSTOP)
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "TtZX":
        time.sleep(POLL_S)
