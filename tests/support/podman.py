"""Podman's command line, as it works on a bare machine: as root, with runc and cgroupfs, without a daemon."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("containers.conf")
WORDS_MAX = 3_000


def podman(*arguments: str | Path, timeout: float = 60, stdin: int | None = None) -> str:
    """What a command prints. Raises AssertionError with its complaint, or with what to install."""
    return _ended(arguments, timeout, stdin).stdout.strip()


def log_of(container: str) -> str:
    """What a container has written: standard output, and then standard error."""
    process = _ended(("logs", container))
    return process.stdout + process.stderr


def _ended(
    arguments: Sequence[str | Path], timeout: float = 60, stdin: int | None = None
) -> "subprocess.CompletedProcess[str]":
    missing = [program for program in ("podman", "runc") if not shutil.which(program)]
    assert not missing, f"{' and '.join(missing)} is not here: apt-get install podman runc"
    process = subprocess.run(
        ["podman", *map(str, arguments)],
        env={**os.environ, "CONTAINERS_CONF": str(CONFIGURATION)},
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    words = f"podman {arguments[0]} ended with {process.returncode}: {process.stderr.strip()[-WORDS_MAX:]}"
    assert process.returncode == 0, words
    return process
