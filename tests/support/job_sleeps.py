"""Sleeps of jobs that are told from those of other test processes on this machine."""

import os

import psutil

OWN = f"{os.getpid():07d}"


def sleeping(seconds: int) -> str:
    """The command, with the number of this test process behind the point of the seconds."""
    return f"sleep {seconds}.{OWN}"


def processes(mark: str = OWN) -> list[str]:
    """The command lines on this machine that hold a text, zombies left out."""
    lines = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if mark in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            lines.append(line)
    return lines
