"""The program that owns an embedded mongod: `python -m gpuagent.adapters.mongo.embedded_supervisor FOLDER BINARY`.

Started detached by the first user of a folder; restarts a mongod that dies, ends it when no process uses it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuagent.adapters.mongo import embedded_secrets
from gpuagent.adapters.mongo.embedded import COMPLAINT, POLL_S, last_server, locked
from gpuagent.adapters.mongo.embedded_secrets import MongodError

if TYPE_CHECKING:
    from pymongo import MongoClient

PORT_FREED_WITHIN_S = 1.0  # a mongod that ends gives up its lock some moments before its port
ALREADY_INITIATED = 23  # mongod's error code
AUTHENTICATION_FAILED = 18  # mongod's error code
NOT_YET = (134, 211)  # mongod's error codes of a new primary: no majority, no key for the cluster's time
CANNOT_LISTEN = 48  # mongod's exit code

# Linux: mongod gets SIGTERM when its supervisor is killed. That is tied to the thread that started it, hence the
# main one. A `preexec_fn` would do the same, but may deadlock beside a second thread.
TIED = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Supervisor:
    """Keeps a mongod running in `home` until no process uses it."""

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
        last = last_server(self._home)
        self._record.unlink(missing_ok=True)
        if os.fork():
            os._exit(0)
        with lock:  # freed before users.lock, which ends with this process: who gets that one finds this one free
            try:
                self._run(last["port"] if last else _usual_port(self._home))
            except (MongodError, OSError) as error:
                # On stderr, which is mongod.log, while the lock is held: who waits for its end reads the log then.
                sys.stderr.write(f"{COMPLAINT}{error}\n")
                sys.stderr.flush()
                sys.exit(1)
            if ephemeral and self._unused.is_set():
                shutil.rmtree(self._home)

    def _run(self, port: int) -> None:
        data = self._home / "data"
        data.mkdir(exist_ok=True)
        threading.Thread(target=self._end_when_unused, daemon=True).start()
        with locked(data / "mongod.lock"):  # mongod's own: one whose supervisor was killed has it until it has ended
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
        command = _command(self._binary, data, port, self._home / embedded_secrets.KEY)
        with subprocess.Popen(command, env={**os.environ, "LC_ALL": "C"}) as mongod:
            self._mongod = mongod
            try:
                if self._unused.is_set():  # perhaps since before the line above: then mongod was not told
                    mongod.terminate()
                if ready := _await_primary(mongod, port, self._home):
                    new = self._record.with_suffix(".new")
                    new.write_text(json.dumps({"port": port, "pid": mongod.pid}))
                    new.replace(self._record)
                return mongod.wait() == CANNOT_LISTEN or ready
            finally:
                mongod.terminate()


def _usual_port(home: Path) -> int:
    """The folder's own port, below those that outgoing connections are given and could take in a restart."""
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


def _command(binary: str, data: Path, port: int, key: Path) -> list[str]:
    tied = [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid())] if sys.platform == "linux" else []
    options = {
        "dbpath": data,
        "bind_ip": "127.0.0.1",
        "port": port,
        "replSet": embedded_secrets.REPLICA_SET,
        "keyFile": key,
        "oplogSize": 128,  # MB
        "wiredTigerCacheSizeGB": 0.25,
        "wiredTigerEngineConfigString": "log=(file_max=8MB,prealloc=false)",  # 10 MB for no data, else 300
    }
    parameters = {
        "enableLocalhostAuthBypass": "false",  # else whoever comes first, on this machine, makes the first user
        "scramSHA256IterationCount": 5000,  # the least; more protects words that can be guessed, and costs each client
        "diagnosticDataCollectionEnabled": "false",
        # What a killed client left open keeps its run from being saved; a step's transaction takes milliseconds.
        "transactionLifetimeLimitSeconds": 5,
    }
    written = [f"--{name}={value}" for name, value in options.items()]
    written += [f"--setParameter={name}={value}" for name, value in parameters.items()]
    return [*tied, binary, "--quiet", "--nounixsocket", *written]


def _await_primary(mongod: subprocess.Popen[bytes], port: int, home: Path) -> bool:
    """Wait until a new client can open a transaction, having initiated the replica set; False if mongod ends first.

    Raises MongodError where the password in the folder is lost or wrong.
    """
    from pymongo import MongoClient  # takes a fifth of a second: here it is spent while mongod starts
    from pymongo.errors import ConnectionFailure

    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    config = {"_id": embedded_secrets.REPLICA_SET, "version": 1, "members": members}
    uri = embedded_secrets.superuser_uri(port, home)
    while mongod.poll() is None:
        time.sleep(POLL_S)
        if not _is_listening(port):
            continue
        # A new client each time: one that met the server before its replica set would refuse sessions.
        with (
            contextlib.suppress(ConnectionFailure),
            MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=1000) as client,
        ):
            if not _is_ours(client, mongod):
                continue  # another program took the port: ours will end with CANNOT_LISTEN
            hello = client.admin.command("hello")
            if hello["isWritablePrimary"]:
                if _takes_users(client, home) and _takes_transactions(port, home):
                    return True
            elif "setName" not in hello:
                reply = client.admin.command("replSetInitiate", config, allowable_errors=[ALREADY_INITIATED])
                if not reply["ok"]:  # at the port of last time: no member is left to agree to a change
                    client.admin.command("replSetReconfig", config, force=True)
    return False


def _is_ours(superuser: "MongoClient[dict[str, Any]]", mongod: subprocess.Popen[bytes]) -> bool:
    """Whether the server that answers is this mongod: not one that has another key, nor another by the same."""
    from pymongo.errors import OperationFailure

    try:
        return bool(superuser.admin.command("serverStatus")["pid"] == mongod.pid)
    except OperationFailure as error:
        if error.code == AUTHENTICATION_FAILED:
            return False
        raise


def _takes_users(superuser: "MongoClient[dict[str, Any]]", home: Path) -> bool:
    """Whether the clients' user is there. Not in the moments after the server became primary: ask again then."""
    from pymongo.errors import OperationFailure

    try:
        embedded_secrets.admit_user(superuser, home)
    except OperationFailure as error:
        if error.code not in NOT_YET:
            raise
        return False
    return True


def _takes_transactions(port: int, home: Path) -> bool:
    """Not in the moments after the server became primary: ask again then. Raises MongodError for a wrong password."""
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        with (
            MongoClient[dict[str, Any]](embedded_secrets.user_uri(port, home)) as client,
            client.start_session() as session,
            session.start_transaction(),
        ):
            client.gpuagent.ready.find_one(session=session)
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED:
            raise embedded_secrets.refused(home) from error
        return False
    return True


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    os.umask(0o077)
    Supervisor(Path(sys.argv[1]), sys.argv[2]).main(ephemeral=sys.argv[3:] == ["--ephemeral"])
