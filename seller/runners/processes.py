"""The processes of this machine, as /proc shows them. Where there is no /proc, there are none."""

import os
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


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
