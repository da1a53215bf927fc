"""Podman's command line, as it works on a bare machine: as root, with runc and cgroupfs, without a daemon."""

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("containers.conf")
ENVIRONMENT = {**os.environ, "CONTAINERS_CONF": str(CONFIGURATION)}
WORDS_MAX = 3_000


def podman(*arguments: str | Path, timeout: float = 240, stdin: int | None = None) -> str:
    """What a command prints. Raises AssertionError with its complaint, or with what to install."""
    return _ended(arguments, timeout, stdin).stdout.strip()


def line_of(container: str, beginning: str, deadline_s: float) -> str:
    """The first line of its standard output that begins so, as soon as it comes.

    Raises AssertionError with all that it has written, where it ends or the deadline comes before.
    """
    with subprocess.Popen(
        ["podman", "logs", "--follow", container],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as log:
        assert log.stdout is not None
        timer = threading.Timer(deadline_s, log.kill)
        timer.start()
        line = next((line for line in log.stdout if line.startswith(beginning)), "")
        timer.cancel()
        log.kill()
    if not line:
        process = _ended(("logs", container))
        raise AssertionError(f"{container} did not say {beginning}: {process.stdout}{process.stderr}")
    return line


def _ended(
    arguments: Sequence[str | Path], timeout: float = 240, stdin: int | None = None
) -> "subprocess.CompletedProcess[str]":
    missing = [program for program in ("podman", "runc") if not shutil.which(program)]
    assert not missing, f"{' and '.join(missing)} is not here: apt-get install podman runc"
    process = subprocess.run(
        ["podman", *map(str, arguments)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    words = f"podman {arguments[0]} ended with {process.returncode}: {process.stderr.strip()[-WORDS_MAX:]}"
    assert process.returncode == 0, words
    return process
