"""A seller that dies by SIGKILL at a named point. Its functions are wrapped from outside: it has no switch for that."""

import fcntl
import functools
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import x402.extensions.bazaar  # noqa: F401 - a victim is a fork of a process that has imported it

import seller.__main__
import seller.serve
from seller import dispatcher, workers
from seller.database import Database
from seller.payments.facilitator import Signer
from seller.payments.till import Till
from seller.runners.process import ProcessRunner
from seller.workers import Workers

STARTS, EVIDENCE = "starts", "evidence"
POINTS_LEFT, DEATHS = "points", "deaths"
"""The points at which workers are to die, of which each that begins takes the first; and those where one has died."""
OUTPUT = "runs.txt"
SUPERVISOR = "seller.runners.supervise"
HURRY = {"STEP_S": 0.05, "TIDY_S": 0.2, "UNDECIDED_S": 1.0, "SECRETS_WAIT_S": 3.0}
"""The dispatcher's times, of which a campaign has less."""


@dataclass(frozen=True)
class Point:
    """A place to die at: before or after a call. when: of its arguments and result, dies only where that is true.

    deed: what is done with the arguments before that.
    """

    owner: Any
    name: str
    after: bool = True
    when: Callable[[Sequence[Any], Any], bool] = lambda arguments, result: True
    deed: Callable[[Sequence[Any]], None] = lambda arguments: None


def _runs(_: Sequence[Any], state: Any) -> bool:
    return bool(state.phase == "running")


def _starts_job(arguments: Sequence[Any], _: Any) -> bool:
    return SUPERVISOR in arguments[1]


def _deletes_job(arguments: Sequence[Any], _: Any) -> bool:
    folder = _deleted(arguments)
    return folder.parent.name == "jobs" and folder.is_dir()


def _deleted(arguments: Sequence[Any]) -> Path:
    """What a call deletes: of Python, or of a process."""
    argv = arguments[1] if isinstance(arguments[0], subprocess.Popen) else []
    return Path(argv[-1] if argv and argv[0] == "rm" else "" if argv else arguments[0])


def _delete_half(arguments: Sequence[Any]) -> None:
    entries = sorted(_deleted(arguments).iterdir())
    for entry in random.sample(entries, (len(entries) + 1) // 2):
        if entry.is_dir():
            RMTREE(entry)
        else:
            entry.unlink()


RMTREE = shutil.rmtree
POINTS: Mapping[str, Point] = {
    "after quote": Point(Database, "keep_quote"),
    "before verify": Point(Till, "objection", after=False),
    "after verify": Point(Till, "objection"),
    "after purchase stored": Point(Database, "begin"),
    "before settle": Point(Till, "settle", after=False),
    "before broadcast": Point(Signer, "write_contract", after=False),
    "after broadcast": Point(Signer, "write_contract"),
    "after settle": Point(Till, "settle"),
    "before finish": Point(Database, "finish", after=False),
    "after finish": Point(Database, "finish"),
    "before start": Point(ProcessRunner, "start", after=False),
    "after laid out": Point(ProcessRunner, "_lay_out"),
    "before spawn": Point(subprocess.Popen, "__init__", after=False, when=_starts_job),
    "after spawn": Point(subprocess.Popen, "__init__", when=_starts_job),
    "after start": Point(ProcessRunner, "start"),
    "after start noted": Point(Database, "mark_start"),
    "while job runs": Point(ProcessRunner, "state", when=_runs),
    "before end noted": Point(Database, "mark_end", after=False),
    "after end noted": Point(Database, "mark_end"),
    "while files are fetched": Point(ProcessRunner, "read"),
    "before forget": Point(ProcessRunner, "forget", after=False),
    "in forget": Point(shutil, "rmtree", after=False, when=_deletes_job, deed=_delete_half),
    "after forget": Point(ProcessRunner, "forget"),
    "after forget noted": Point(Database, "mark_forgotten"),
}
BY_COMMAND = Point(subprocess.Popen, "__init__", after=False, when=_deletes_job, deed=_delete_half)
"""In forget, where a command deletes the folder."""
FORGETS = frozenset(name for name in POINTS if "forget" in name)
SERVED = frozenset({"while job runs", "while files are fetched"})
"""Points behind "before start" that requests come to; to all others there, the first worker alone comes."""
DISPATCHED = frozenset([*POINTS][[*POINTS].index("before start") :]) - SERVED


@dataclass(frozen=True)
class Life:
    """The orders of one victim. point: where it dies, "" for nowhere; passes: how often it goes past that before.

    workers: processes that it has; of several each dies at a point of POINTS_LEFT, and their parent nowhere.
    """

    config: Path
    environment: Mapping[str, str]
    folder: Path
    point: str
    passes: int
    workers: int = 1


def live(life: Life) -> None:
    """Sell until killed. Standard output and error go to a log of its process in the folder."""
    log = os.open(life.folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.update(life.environment)
    for name, value in HURRY.items():
        setattr(dispatcher, name, value)
    _witness(life.folder)
    if life.point:
        _arm(life.point, life.passes)
    if life.workers > 1:
        workers.SHORT_LOOKS = 0
        _arm_workers(life.folder)
    sys.argv = ["seller", "--config", str(life.config), "--workers", str(life.workers)]
    seller.__main__.main()


def folder_name(job_id: str) -> str:
    """Of a job's folder, among those of its runner."""
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


def _die(name: str, deaths: Path | None) -> None:
    _note(name, deaths)
    os.kill(os.getpid(), signal.SIGKILL)


def _arm_workers(folder: Path) -> None:
    """Has each worker die at the next of the points that are left, and that it comes to."""
    work = Workers._be_worker

    def doomed(self: Workers, place: int, parent: int, pause_s: float) -> NoReturn:
        with (folder / POINTS_LEFT).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            points = file.read().splitlines()
            name = next((point for point in points if place == 0 or point not in DISPATCHED), "")
            file.seek(0)
            file.truncate()
            file.write("\n".join(point for point in points if point != name))
        if name:
            _arm(name, 0, folder / DEATHS)
        work(self, place, parent, pause_s)

    Workers._be_worker = doomed  # type: ignore[method-assign]


def _note(name: str, deaths: Path | None) -> None:
    if deaths:
        with deaths.open("a") as file:
            file.write(f"{name}\n")


def _arm(name: str, passes: int, deaths: Path | None = None) -> None:
    left = iter(range(passes))
    for point in (POINTS[name], *([BY_COMMAND] if name == "in forget" else [])):
        setattr(point.owner, point.name, _deadly(point, left, lambda: _die(name, deaths)))


def _deadly(point: Point, left: Iterator[int], die: Callable[[], None]) -> Callable[..., Any]:
    call = getattr(point.owner, point.name)

    @functools.wraps(call)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        if not point.after and point.when(args, None) and next(left, None) is None:
            point.deed(args)
            die()
        result = call(*args, **keywords)
        if point.name == "read":
            return _broken_off(result, left, die)
        if point.after and point.when(args, result) and next(left, None) is None:
            die()
        return result

    return wrapped


def _broken_off(parts: Iterator[bytes], left: Iterator[int], die: Callable[[], None]) -> Iterator[bytes]:
    for part in parts:
        yield part
        if next(left, None) is None:
            die()


def _witness(folder: Path) -> None:
    """Notes every start of a job, and keeps what a job wrote before that is deleted."""
    spawn, forget = subprocess.Popen.__init__, ProcessRunner.forget

    def spawn_noted(self: Any, argv: Any, *args: Any, **keywords: Any) -> None:
        if SUPERVISOR in argv:
            with (folder / STARTS).open("a") as starts:
                starts.write(f"{Path(argv[-1]).name}\n")
        spawn(self, argv, *args, **keywords)

    def forget_kept(self: ProcessRunner, job_id: str) -> None:
        name = folder_name(job_id)
        written = self._folder / name / "work" / OUTPUT
        if written.exists():
            shutil.copyfile(written, folder / EVIDENCE / name)
        forget(self, job_id)

    subprocess.Popen.__init__ = spawn_noted  # type: ignore[method-assign]
    ProcessRunner.forget = forget_kept  # type: ignore[method-assign]
