"""The process runner: each job is a process in a folder of its own, in bubblewrap unless the seller says otherwise."""

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seller.runners.base import FileEntry, JobOrder, JobState, RunnerError
from seller.runners.supervise import JobFolder, write_whole

LINES_MAX, LINE_BYTES, READ_BYTES = 1_000, 4_000, 1_000_000
FILE_READ = 256 * 1024
START_S = 30.0
METRICS = "metrics.jsonl"


class ProcessRunner:
    """The Runner on this machine. sandbox: False runs jobs with the seller's own rights, for payers it trusts alone."""

    def __init__(self, folder: Path, sandbox: bool = True) -> None:
        if sandbox and not shutil.which("bwrap"):
            raise RunnerError("jobs run in bubblewrap, which is not here: apt-get install bubblewrap")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._sandbox = folder, sandbox

    def start(self, order: JobOrder) -> None:
        folder = JobFolder(self._folder / _name(order.job_id))
        if not folder.order.exists():
            self._lay_out(folder, order)
        if folder.ended.exists() or _is_held(folder):
            return
        if (folder.path / "started").exists():  # its supervisor has died: a job is never started twice
            return
        (folder.path / "started").touch()
        process = subprocess.Popen(
            [sys.executable, "-m", "seller.runners.supervise", str(folder.path)],
            cwd=Path(__file__).parents[2],
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(dict(order.secrets)).encode())
        process.stdin.close()
        process.stdout.readline()  # once it holds the lock; nothing if it died
        process.stdout.close()
        _Zombies.add(process)

    def state(self, job_id: str) -> JobState:
        folder = self._known(job_id)
        if folder.ended.exists():
            end = json.loads(folder.ended.read_text())
            return JobState("ended", end["exitCode"], end["reason"], end["at"])
        if _is_held(folder):
            return JobState("running")
        if folder.ended.exists():  # it ended between the two looks
            return self.state(job_id)
        if (folder.path / "started").exists():
            folder.end(None, "the machine that ran it was lost")
            return self.state(job_id)
        return JobState("preparing")

    def logs(self, job_id: str, cursor: int) -> tuple[list[str], int]:
        return _lines(self._known(job_id).log, cursor)

    def metrics(self, job_id: str, cursor: int) -> tuple[list[dict[str, Any]], int]:
        lines, following = _lines(self._known(job_id).work / METRICS, cursor)
        return [metric for metric in map(_metric, lines) if metric is not None], following

    def files(self, job_id: str) -> list[FileEntry]:
        folder = self._known(job_id)
        if not folder.ended.exists():
            return []
        outputs = json.loads(folder.order.read_text())["outputs"]
        return [entry for path in outputs if (entry := _entry(folder.work, path))]

    def checkpoint(self, job_id: str) -> list[FileEntry]:
        kept = self._newest(self._known(job_id))
        if kept is None:
            return []
        paths = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
        return [entry for path in paths if (entry := _entry(kept, path))]

    def read(self, job_id: str, path: str, start: int = 0, checkpoint: bool = False) -> Iterator[bytes]:
        folder = self._known(job_id)
        entries = self.checkpoint(job_id) if checkpoint else self.files(job_id)
        if path not in {entry.path for entry in entries}:
            raise RunnerError(f"job {job_id} has no file {path!r}")
        kept = self._newest(folder) if checkpoint else folder.work
        assert kept is not None
        with _open_inside(kept, path) as file:
            file.seek(start)
            while part := file.read(FILE_READ):
                yield part

    def stop(self, job_id: str, reason: str) -> None:
        folder = self._known(job_id)
        write_whole(folder.stop, reason)
        if not _is_held(folder) and not folder.ended.exists():
            folder.end(None, reason)

    def forget(self, job_id: str) -> None:
        folder = self._known(job_id)
        self.stop(job_id, "forgotten")
        give_up = time.monotonic() + START_S
        while _is_held(folder):
            if time.monotonic() > give_up:
                raise RunnerError(f"job {job_id} does not end")
            time.sleep(0.05)
        shutil.rmtree(folder.path)

    def _known(self, job_id: str) -> JobFolder:
        folder = JobFolder(self._folder / _name(job_id))
        if not folder.order.exists():
            raise RunnerError(f"there is no job {job_id}")
        return folder

    def _lay_out(self, folder: JobFolder, order: JobOrder) -> None:
        """The job's folder with its inputs; order.json comes last, so that a folder without one is laid out anew."""
        shutil.rmtree(folder.path, ignore_errors=True)
        for path in (folder.path, folder.work, folder.checkpoints):
            path.mkdir(mode=0o700, parents=True)
        if self._sandbox:
            folder.work.chmod(0o777)
        folder.log.touch(0o600)
        for files, target in ((order.inputs, folder.work), (order.resume, folder.resume)):
            for name, source in files.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name)
        document = {
            "command": order.command if isinstance(order.command, str) else list(order.command),
            "setup": order.setup,
            "env": dict(order.env),
            "outputs": list(order.outputs),
            "checkpoint": order.checkpoint,
            "durationS": order.duration_s,
            "startedAt": time.time(),
            "sandbox": self._sandbox,
        }
        write_whole(folder.order, json.dumps(document))

    def _newest(self, folder: JobFolder) -> Path | None:
        try:
            return folder.checkpoints / folder.newest.read_text()
        except FileNotFoundError:
            return None


class _Zombies:
    """Supervisors that this process started: reaped when they have ended, so that none stays as a zombie."""

    _processes: "list[subprocess.Popen[bytes]]" = []  # noqa: RUF012 - of this process, as its children are

    @classmethod
    def add(cls, process: "subprocess.Popen[bytes]") -> None:
        cls._processes = [child for child in cls._processes if child.poll() is None] + [process]


def _name(job_id: str) -> str:
    """Job ids are the seller's; their hash as a name needs no trust in that."""
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


def _is_held(folder: JobFolder) -> bool:
    """Whether a supervisor lives: it holds the lock as long as it does."""
    try:
        with folder.lock.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lines(path: Path, cursor: int) -> tuple[list[str], int]:
    """Whole lines from a byte on, at most LINES_MAX of at most LINE_BYTES, and the byte after them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return [], cursor
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return [], cursor
        file.seek(cursor)
        lines, end = [], cursor
        for line in file.read(READ_BYTES).splitlines(keepends=True)[:LINES_MAX]:
            if not line.endswith((b"\n", b"\r")) and len(line) < LINE_BYTES:
                break
            end += len(line)
            lines.append(line[:LINE_BYTES].decode("utf-8", "replace").rstrip("\r\n"))
        return lines, end


def _metric(line: str) -> dict[str, Any] | None:
    try:
        metric = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    if not isinstance(metric, dict):
        return None
    return {name: value for name, value in metric.items() if isinstance(value, int | float)} or None


def _entry(folder: Path, path: str) -> FileEntry | None:
    try:
        with _open_inside(folder, path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileEntry(path, file.tell(), digest)
    except (OSError, RunnerError):
        return None


def _open_inside(folder: Path, path: str) -> Any:
    """A regular file below a folder, on a way without links: the job wrote all of it, and may have put one anywhere."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise RunnerError(f"{path!r} is no path in a job")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        flags = os.O_RDONLY | os.O_NOFOLLOW | (os.O_NONBLOCK if last else os.O_DIRECTORY)
        try:
            following = os.open(part, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise RunnerError(f"{path!r} is no regular file")
    return os.fdopen(descriptor, "rb")
