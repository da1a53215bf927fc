"""The embedded server's secrets: no other local user comes in, older folders are upgraded, nothing is reset unasked."""

import fcntl
import itertools
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from bson import Binary, Int64, Timestamp
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from gpuagent.adapters.mongo import embedded_secrets, embedded_supervisor
from gpuagent.adapters.mongo.embedded import Mongod, MongodError, find_binary, start
from gpuagent.adapters.mongo.embedded_secrets import KEY, PASSWORD, PASSWORD_NEW, USER
from gpuagent.wire.child_environment import child_environment
from mock_vendor.chain import free_port
from tests.support.eventually import eventually

SECRET = "a-secret-of-the-user-that-no-child-needs"
FORBIDDEN = 13, 18
"""mongod's error codes: not authorized, not authenticated."""


@contextmanager
def client(uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=60_000) as opened:
        yield opened


def is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except OperationFailure as error:
        return error.code in FORBIDDEN
    return False


def processes_of(server: Mongod) -> list[psutil.Process]:
    mongod = psutil.Process(server.pid)
    return [mongod, *mongod.parents()[:1]]


@pytest.mark.safety("another user of the machine meets the embedded database, without its password")
def test_a_local_user_changes_no_payee_and_removes_no_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setenv("GPUAGENT_TEST_SECRET", SECRET)
    monkeypatch.setenv("X402_PRIVATE_KEY", SECRET)
    home, link = tmp_path / "mongod", tmp_path / "link"
    home.mkdir()
    home.chmod(0o777)
    link.symlink_to(home)
    embedded_secrets.prepare(home)
    embedded_secrets.write_secret(home / PASSWORD_NEW)  # as of a first start that was killed before it made the user
    with start(home) as server, start(link) as same:
        assert same.uri == server.uri
        port = urlsplit(server.uri).port
        with client(server.uri) as owner:
            owner.gpuagent.vendors.insert_one({"_id": 1, "payTo": "ours"})
        with client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as stranger:
            thefts: list[Callable[[], object]] = [
                lambda: stranger.gpuagent.vendors.find_one(),
                lambda: stranger.gpuagent.vendors.update_one({}, {"$set": {"payTo": "thief"}}),
                lambda: stranger.gpuagent.policies.insert_one({}),
                lambda: stranger.drop_database("gpuagent"),
                lambda: stranger.admin.command("createUser", "thief", pwd="x", roles=["root"]),
                lambda: stranger.admin.command("shutdown"),
            ]
            refused = [is_refused(theft) for theft in thefts]
        assert all(refused)
        with client(f"mongodb://{USER}:password@127.0.0.1:{port}/?authSource=admin") as guesser:
            assert is_refused(guesser.gpuagent.vendors.find_one)
        with client(server.uri) as owner, owner.start_session() as session:
            assert owner.gpuagent.vendors.find_one(session=session) == {"_id": 1, "payTo": "ours"}
            assert session.cluster_time
            latest = session.cluster_time["clusterTime"]
            # As the clock of a client that outlives a restart: by a key that mongod has not found yet.
            signature = {"hash": Binary(bytes(20)), "keyId": Int64(1)}
            session.advance_cluster_time(
                {"clusterTime": Timestamp(latest.time, latest.inc + 1000), "signature": signature}
            )
            assert owner.gpuagent.vendors.count_documents({}, session=session) == 1
        other = tmp_path / "other"
        other.mkdir()
        embedded_secrets.prepare(other)
        with client(embedded_secrets.superuser_uri(port or 0, other)) as foreign, subprocess.Popen(["true"]) as process:
            # As the supervisor of the other folder sees this server at its port: not as its own.
            assert not embedded_supervisor._is_ours(foreign, process)
        assert not Path(f"/tmp/mongodb-{port}.sock").exists()
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        secrets = [embedded_secrets.read_secret(home / name) for name in (KEY, PASSWORD)]
        assert {stat.S_IMODE((home / name).stat().st_mode) for name in (KEY, PASSWORD)} == {0o600}
        for process in processes_of(server):
            assert not [secret for secret in secrets if secret in " ".join(process.cmdline())]
            assert SECRET not in process.environ().values()
        # Else whoever comes between mongod's first moment and our user's would be let in, to make a user.
        assert "--setParameter=enableLocalhostAuthBypass=false" in psutil.Process(server.pid).cmdline()
        log = (home / "mongod.log").read_text()
        assert not [secret for secret in secrets if secret in log]
    record_property("observed", f"{len(refused)} of {len(refused)} attempts refused; the payee is ours")


@contextmanager
def unprotected(home: Path) -> Iterator[str]:
    """A mongod as earlier versions ran it, which ends as by a power cut."""
    data = home / "data"
    data.mkdir(parents=True)
    port = free_port()
    options = {"dbpath": data, "bind_ip": "127.0.0.1", "port": port, "replSet": "gpuagent", "oplogSize": 128}
    command = [str(find_binary()), "--quiet", "--nounixsocket", *(f"--{key}={value}" for key, value in options.items())]
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as mongod:
        try:
            config = {"_id": "gpuagent", "version": 1, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            with client(uri) as setup:
                setup.admin.command("replSetInitiate", config)
                eventually(lambda: setup.admin.command("hello")["isWritablePrimary"])
            yield uri
        finally:
            mongod.send_signal(signal.SIGKILL)


def test_an_older_folder_is_upgraded_by_its_start_and_a_lost_password_is_said(tmp_path: Path) -> None:
    home = tmp_path / "mongod"
    with unprotected(home) as uri, client(uri) as old:
        old.gpuagent.runs.insert_one({"_id": 1})
        old.admin.command("fsync")
    with start(home) as server, client(server.uri) as now:
        assert now.gpuagent.runs.find_one() == {"_id": 1}
        with client(f"mongodb://127.0.0.1:{urlsplit(server.uri).port}/?directConnection=true") as stranger:
            assert is_refused(stranger.gpuagent.runs.find_one)
    (home / PASSWORD).unlink()
    with pytest.raises(MongodError, match=r"password is lost: put it back from a backup; or.*password\.new") as lost:
        start(home)
    command = str(lost.value).split(" by (", 1)[1]
    subprocess.run(["sh", "-c", f"({command}"], check=True)
    with start(home) as server, client(server.uri) as now:
        assert now.gpuagent.runs.find_one() == {"_id": 1}


class FakeSuperuser:
    """mongod's users, as the commands of admit_user() see them; `fails` at the last of these commands."""

    def __init__(self, password: str = "") -> None:
        self.password, self.has_role, self.fails = password, bool(password), False
        self.admin = self

    def command(self, name: str, user: str, **options: Any) -> dict[str, Any]:
        assert user == USER
        if name == "usersInfo":
            return {"users": [{"user": USER}] if self.password else []}
        if name == "rolesInfo":
            return {"roles": [USER] * self.has_role}
        if name in ("createRole", "updateRole"):
            assert (name == "updateRole") == self.has_role
            self.has_role = True
            return {}
        assert (name == "updateUser") == bool(self.password)
        if self.fails:
            raise ConnectionFailure("killed here")
        self.password = options["pwd"]
        return {}


NAMES = (PASSWORD, PASSWORD_NEW)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("files", list(itertools.product([0, 1], repeat=2)))
def test_a_start_that_was_killed_anywhere_is_completed_by_the_next(
    tmp_path: Path, files: tuple[int, int], exists: bool
) -> None:
    for name in itertools.compress(NAMES, files):
        embedded_secrets.write_secret(tmp_path / name)
    kept = embedded_secrets.read_secret(tmp_path / PASSWORD) if files[0] else "lost"
    superuser: Any = FakeSuperuser(kept if exists else "")
    if exists and files == (0, 0):
        with pytest.raises(MongodError, match="is lost"):
            embedded_secrets.admit_user(superuser, tmp_path)
        return
    superuser.fails = True
    try:
        embedded_secrets.admit_user(superuser, tmp_path)
    except ConnectionFailure:
        assert superuser.password == (kept if exists else "")
    superuser.fails = False
    embedded_secrets.admit_user(superuser, tmp_path)
    assert superuser.password == embedded_secrets.read_secret(tmp_path / PASSWORD)
    assert not (tmp_path / PASSWORD_NEW).exists()
    if files == (1, 0):
        assert superuser.password == kept


def test_a_lost_key_is_said_and_a_new_password_replaces_it(tmp_path: Path) -> None:
    embedded_secrets.prepare(tmp_path)
    embedded_secrets.write_secret(tmp_path / PASSWORD)
    (tmp_path / KEY).unlink()
    with pytest.raises(MongodError, match=r"mongod\.key is lost: put it back"):
        embedded_secrets.prepare(tmp_path)
    embedded_secrets.write_secret(tmp_path / PASSWORD_NEW)
    assert embedded_secrets.prepare(tmp_path).exists()


def test_a_secret_that_others_may_know_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / PASSWORD
    embedded_secrets.write_secret(path)
    secret = embedded_secrets.read_secret(path)
    path.write_text(f"{secret}\n")
    assert embedded_secrets.read_secret(path) == secret
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(MongodError, match=r"others may read .*chmod 600"):
            embedded_secrets.read_secret(path)
    path.chmod(0o600)
    for nothing in ("", " \n", "pässword"):
        path.write_text(nothing)
        with pytest.raises(MongodError, match="is empty, or no secret of ours"):
            embedded_secrets.read_secret(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        embedded_secrets.read_secret(link)
    path.write_text(secret)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(MongodError, match="others may read"):
        embedded_secrets.read_secret(path)
    with pytest.raises(MongodError, match=f"{tmp_path} belongs to user .*choose a folder of your own"):
        start(tmp_path)


def test_a_server_of_an_earlier_version_is_not_joined(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"port": 1, "pid": 1}))
    with (tmp_path / "supervisor.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(MongodError, match="without a password: end every command"):
            start(tmp_path)
    with (tmp_path / "users.lock").open("rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the failed start does not keep the old server up


def test_children_know_where_programs_are_and_no_secret() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "MOCK_SPEED": "2", "X402_PRIVATE_KEY": SECRET, "AWS_SECRET": SECRET}
    assert child_environment(environ) == {"PATH": "/bin", "LC_ALL": "C"}
    assert child_environment(environ, "MOCK_SPEED") == {"PATH": "/bin", "LC_ALL": "C", "MOCK_SPEED": "2"}
