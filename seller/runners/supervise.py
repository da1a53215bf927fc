"""The process beside each job: `python -m seller.runners.supervise LIFELINE JOB_FOLDER`, secrets on standard input.

It inherits the job's lock and so holds it for as long as it lives, and leaves `ended.json` behind. So a seller that
comes back knows by the lock whether the job still runs, and a job whose supervisor was killed is not started anew.
It outlives the seller, unless LIFELINE is the number of a pipe that the seller holds open: then the job ends with it.
"""

import hashlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seller.runners.base import RunnerError
from seller.runners.job_folder import JobFolder, write_whole
from seller.runners.sandbox import RESUME, WORK, environment, program, sandboxed

POLL_S = 0.05
STOP_S = 2.0
"""Between the polite signal and the other."""
LOG_BYTES = 20_000_000
CHECKPOINT_BYTES = 5_000_000_000
CHECKPOINT_FILES = 10_000


def main(folder: JobFolder, lifeline: int | None) -> None:
    order = json.loads(folder.order.read_text())
    secrets = json.loads(sys.stdin.buffer.read() or b"{}")
    try:
        exit_code, reason = _run(folder, order, secrets, lifeline)
    except (OSError, ValueError, RunnerError) as error:
        exit_code, reason = None, f"it could not be started: {error}"
    keep_checkpoint(folder, order["checkpoint"])
    folder.end(exit_code, reason)


def _run(
    folder: JobFolder, order: Mapping[str, Any], secrets: Mapping[str, str], lifeline: int | None
) -> tuple[int | None, str]:
    deadline = order["startedAt"] + order["durationS"]
    for name, command in (("setup", order["setup"]), ("command", order["command"])):
        if not command:
            continue
        folder.enter("preparing" if name == "setup" else "running")
        process = _launch(folder, order, secrets, command)
        exit_code, reason = _watch(process, folder, order["checkpoint"], deadline, lifeline)
        if reason:
            return None, reason
        if name == "setup" and exit_code:
            return None, f"setup ended with exit code {exit_code}"
        if name == "command":
            return exit_code, ""
    return None, "there is no command"


def _launch(
    folder: JobFolder, order: Mapping[str, Any], secrets: Mapping[str, str], command: Any
) -> "subprocess.Popen[bytes]":
    resume = folder.resume if folder.resume.is_dir() else None
    inside = order["sandbox"]
    env = environment(
        order["env"],
        secrets,
        WORK if inside else str(folder.work),
        "" if not resume else RESUME if inside else str(resume),
    )
    argv = sandboxed(program(command), folder.work, resume) if inside else program(command)
    with folder.log.open("ab", buffering=0) as log:
        return subprocess.Popen(
            argv, cwd=folder.work, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _watch(
    process: "subprocess.Popen[bytes]", folder: JobFolder, checkpoint: str, deadline: float, lifeline: int | None
) -> tuple[int, str]:
    """The exit code, and why it was ended, where the program did not end by itself."""
    reason = ""
    while not reason:
        try:
            process.wait(POLL_S)
            break
        except subprocess.TimeoutExpired:
            keep_checkpoint(folder, checkpoint)
            reason = _reason_to_end(folder, deadline, lifeline)
    if reason:
        _end(process)
    exit_code = process.wait()
    _kill(process)  # what it has left behind in its session
    return (128 - exit_code if exit_code < 0 else exit_code), reason


def _reason_to_end(folder: JobFolder, deadline: float, lifeline: int | None) -> str:
    if lifeline is not None and select.select([lifeline], [], [], 0)[0]:
        return "the seller has ended, and its jobs with it"
    if folder.stop.exists():
        return folder.stop.read_text() or "stopped"
    if time.time() >= deadline:
        return "the paid time has ended"
    if folder.log.stat().st_size > LOG_BYTES:
        return f"it wrote more than {LOG_BYTES // 10**6} MB of log"
    return ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def keep_checkpoint(folder: JobFolder, path: str) -> None:
    """Keeps a copy of a new checkpoint that is whole: nothing changed while it was copied, and progress.json came last.

    A file that is newer than progress.json is of the next checkpoint, which is being written.
    """
    if not path:
        return
    source = folder.work / path
    before = _listing(source)
    progress = next((written for name, _, written, _ in before if name == "progress.json"), None)
    if progress is None or any(written > progress for _, _, written, _ in before):
        return
    name = hashlib.sha256(repr(before).encode()).hexdigest()[:16]
    target = folder.checkpoints / name
    if target.exists():
        return
    scratch = folder.checkpoints / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    for file, *_ in before:
        (scratch / file).parent.mkdir(parents=True, exist_ok=True)
        _copy_regular(source / file, scratch / file)
    if _listing(source) != before:
        return  # it is being written: the next look sees it whole
    scratch.rename(target)
    write_whole(folder.newest, name)
    kept = {name, "scratch", *(pin for pin, _ in folder.pinned())}
    for old in folder.checkpoints.iterdir():
        if old.name not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _listing(folder: Path) -> list[tuple[str, int, int, int]]:
    """Path, size, time and inode of each regular file below; nothing where there is too much of it."""
    files, total = [], 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if name.endswith(".part") or not _is_plain(status) or not _is_text(path):
                continue
            total += status.st_size
            files.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns, status.st_ino))
            if len(files) > CHECKPOINT_FILES or total > CHECKPOINT_BYTES:
                return []
    return files


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _is_text(path: Path) -> bool:
    """Whether a path can stand in a manifest: a name may hold any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _copy_regular(source: Path, target: Path) -> None:
    """A copy that follows no link: the job may put one in its place at any time."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return  # it has gone, or is a link now: the second listing differs
    with os.fdopen(descriptor, "rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)


if __name__ == "__main__":
    number = int(sys.argv[1])
    main(JobFolder(Path(sys.argv[2])), None if number < 0 else number)
