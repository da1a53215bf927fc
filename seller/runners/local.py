"""What the runners of this machine share: a folder for each job, a supervisor beside it, and what both have written.

How a job's programs are kept apart from the machine is the rest: process.py and container.py say it.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from seller.folders import write_whole
from seller.runners.base import Checkpoint, FileEntry, JobOrder, JobState, Limits, RunnerError, UnknownJob
from seller.runners.job_folder import JobFolder
from seller.runners.kept import KeptCheckpoints
from seller.runners.layout import delete_folder, document_of, lay_out_files
from seller.runners.processes import descendants, freeze
from seller.runners.reading import file_entry, open_inside, read_lines, read_metric

FILE_READ = 256 * 1024
START_S, END_S, POLL_S = 5.0, 30.0, 0.02
METRICS = "metrics.jsonl"
FORGOTTEN = ".forgotten"
OUTPUTS_KEPT = 1_000
"""Jobs whose outputs are remembered with their hashes: another process may forget a job, and this one then does not."""
NODE_LOST = "node lost: the machine that ran it is gone"


class LocalRunner(ABC):
    """A Runner on this machine. limits: of a job whose order has none of its own.

    outlive: jobs go on when the seller ends, and are adopted by the next runner of the folder; False: they end with it,
    even by a kill.
    """

    def __init__(self, folder: Path, outlive: bool, limits: Limits) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._limits = folder.absolute(), limits  # a supervisor works in another folder than the seller
        self._lifeline = None if outlive else os.pipe()
        self._checkpoints = KeptCheckpoints()
        self._outputs: dict[str, list[FileEntry]] = {}
        for doomed in folder.glob(f"*{FORGOTTEN}"):
            with suppress(RunnerError):  # of a job that is no more: the next start tries again
                delete_folder(JobFolder(doomed))

    @property
    @abstractmethod
    def notices(self) -> tuple[str, ...]:
        """What does not contain its jobs, for the operator to read at the start."""

    @abstractmethod
    def refusal(self, image: str) -> str:
        """Why no job with this image is run here, in words for its buyer; "" where it is. image: "" for none."""

    def absence(self, image: str) -> str:  # noqa: ARG002 - where there are no images
        return ""

    @abstractmethod
    def _isolation(self, order: JobOrder) -> dict[str, Any]:
        """What the job's supervisor must know of how its programs are kept apart, for order.json."""

    @abstractmethod
    def _hand_over(self, folder: JobFolder) -> None:
        """Makes the laid-out files the job's to change."""

    @abstractmethod
    def _clear(self, folder: JobFolder) -> None:
        """Ends and removes what a job's supervisor has left behind when it was killed."""

    def start(self, order: JobOrder) -> None:
        folder = self._folder_of(order.job_id)
        if not folder.order.exists():
            if refusal := self.refusal(order.image):
                raise RunnerError(refusal)
            self._lay_out(folder, order)
        give_up = time.monotonic() + START_S
        while not self._start(folder, order):
            if folder.started.exists():  # by another: a job is never started twice
                return
            if time.monotonic() > give_up:
                raise RunnerError(f"the lock of job {order.job_id} is not to be had, and nothing runs")
            time.sleep(POLL_S)

    def _start(self, folder: JobFolder, order: JobOrder) -> bool:
        """Whether the lock was free. The supervisor inherits it: it is held from before the job counts as started."""
        with folder.lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if folder.started.exists() or folder.ended.exists():
                return True
            folder.started.touch()
            lifeline = self._lifeline[0] if self._lifeline else lock.fileno()
            process = subprocess.Popen(
                [sys.executable, "-m", "seller.runners.supervise", str(lifeline if self._lifeline else -1), folder],
                cwd=Path(__file__).parents[2],
                env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(lock.fileno(), lifeline),
            )
        folder.pid.write_text(str(process.pid))
        assert process.stdin
        with suppress(BrokenPipeError):  # it has died, and state() says so
            process.stdin.write(json.dumps(dict(order.secrets)).encode())
            process.stdin.close()
        _Zombies.add(process)
        return True

    def state(self, job_id: str) -> JobState:
        folder = self._known(job_id)
        started = folder.started.exists()
        if not folder.ended.exists() and folder.is_held():
            return JobState(folder.phase())
        if started and not folder.ended.exists():
            self._clear(folder)
            folder.end(None, NODE_LOST)
        if not folder.ended.exists():
            return JobState("queued")
        end = json.loads(folder.ended.read_text())
        return JobState("ended", end["exitCode"], end["reason"], end["at"])

    def logs(self, job_id: str, cursor: int) -> tuple[list[str], int]:
        folder = self._known(job_id)
        return read_lines(folder.log, cursor, folder.ended.exists())

    def metrics(self, job_id: str, cursor: int) -> tuple[list[dict[str, Any]], int]:
        folder = self._known(job_id)
        lines, following = read_lines(folder.work / METRICS, cursor, folder.ended.exists())
        return [metric for metric in map(read_metric, lines) if metric is not None], following

    def files(self, job_id: str) -> list[FileEntry]:
        folder = self._known(job_id)
        if not folder.ended.exists():
            return []
        entries = self._outputs.get(job_id)
        if entries is None:
            outputs = dict.fromkeys(json.loads(folder.order.read_text())["outputs"])
            entries = [entry for path in outputs if (entry := file_entry(folder.work, path))]
            if len(self._outputs) >= OUTPUTS_KEPT:
                self._outputs.pop(next(iter(self._outputs)), None)
            self._outputs[job_id] = entries
        return entries

    def checkpoint(self, job_id: str) -> Checkpoint | None:
        return self._checkpoints.newest(self._known(job_id))

    def entry(self, job_id: str, path: str, checkpoint: str = "") -> FileEntry:
        return self._locate(job_id, path, checkpoint)[1]

    def read(self, job_id: str, path: str, start: int = 0, checkpoint: str = "") -> Iterator[bytes]:
        root, entry = self._locate(job_id, path, checkpoint)
        with open_inside(root, entry.path) as file:
            file.seek(start)
            while part := file.read(FILE_READ):
                yield part

    def _locate(self, job_id: str, path: str, checkpoint: str) -> tuple[Path, FileEntry]:
        folder = self._known(job_id)
        if checkpoint:
            root, manifest = self._checkpoints.find(folder, checkpoint)
            files = manifest.files
        else:
            root, files = folder.work, tuple(self.files(job_id))
        entry = next((file for file in files if file.path == path), None)
        if entry is None:
            raise RunnerError(f"job {job_id} has no file {path[:512]!r}")
        return root, entry

    def stop(self, job_id: str, reason: str) -> None:
        folder = self._known(job_id)
        write_whole(folder.stop, reason)
        if not folder.is_held() and not folder.ended.exists():
            folder.end(None, reason)

    def forget(self, job_id: str) -> None:
        folder = self._folder_of(job_id)
        if not folder.path.exists():
            raise UnknownJob(f"there is no job {job_id}")
        write_whole(folder.stop, "forgotten")
        if not self._has_let_go(folder):
            raise RunnerError(f"job {job_id} does not end")
        self._clear(folder)
        # By another name it is not known any more, whatever becomes of the deletion.
        doomed = folder.path.with_suffix(FORGOTTEN)
        folder.path.rename(doomed)
        delete_folder(JobFolder(doomed))
        self._outputs.pop(job_id, None)

    def kill(self, job_id: str) -> None:
        """Kills a job and its supervisor, as the loss of a machine does: what is on disk stays as it is."""
        folder = self._known(job_id)
        if not Path("/proc/self").exists():  # elsewhere its program's own number is not to be had
            self.stop(job_id, NODE_LOST)
            return
        with suppress(FileNotFoundError, ProcessLookupError):
            supervisor = int(folder.pid.read_text())
            if not folder.is_held():
                return  # it has ended, and its number may be another's by now
            freeze(supervisor)  # so that it starts nothing more
            programs = descendants(supervisor)
            os.kill(supervisor, signal.SIGKILL)
            for program in programs:
                with suppress(ProcessLookupError):
                    os.kill(program, signal.SIGKILL)
        self._has_let_go(folder)
        self._clear(folder)

    def close(self) -> None:
        if not self._lifeline:
            return
        for end in self._lifeline:
            os.close(end)
        self._lifeline = None
        for path in self._folder.iterdir():
            self._has_let_go(JobFolder(path))

    def _has_let_go(self, folder: JobFolder) -> bool:
        """Whether the job's supervisor ends within END_S."""
        give_up = time.monotonic() + END_S
        while folder.is_held():
            if time.monotonic() > give_up:
                return False
            time.sleep(POLL_S)
        return True

    def _folder_of(self, job_id: str) -> JobFolder:
        return JobFolder(self._folder / _name(job_id))

    def _known(self, job_id: str) -> JobFolder:
        folder = self._folder_of(job_id)
        if not folder.order.exists():
            raise UnknownJob(f"there is no job {job_id}")
        return folder

    def _lay_out(self, folder: JobFolder, order: JobOrder) -> None:
        """The job's folder with its inputs; order.json comes last, so that a folder without one is laid out anew."""
        lay_out_files(folder, order)
        try:
            self._hand_over(folder)
        except OSError as error:
            raise RunnerError(f"the inputs of job {order.job_id} cannot be handed over: {error}") from error
        write_whole(folder.order, json.dumps(document_of(order, self._limits) | self._isolation(order)))


class _Zombies:
    """Supervisors that this process started: reaped when they have ended, so that none stays as a zombie."""

    _processes: "list[subprocess.Popen[bytes]]" = []  # noqa: RUF012 - of this process, as its children are

    @classmethod
    def add(cls, process: "subprocess.Popen[bytes]") -> None:
        cls._processes = [child for child in cls._processes if child.poll() is None] + [process]


def _name(job_id: str) -> str:
    """Job ids are the seller's; their hash as a name needs no trust in that."""
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]
