"""The secrets of an embedded server, in files of its folder that its owner alone may read.

    mongod.key      the key of the replica set, whose holder is the server's superuser
    password        the password of the user `gpuagent`, as which every client comes
    password.new    one that the server is to learn; it is `password` once the server has

Authorization is on from the first moment a folder has a server, and before its first user: the supervisor logs in by
the key. So a folder of an earlier version, which knew no user, is upgraded by being started; and a start that was
killed anywhere is completed by the next one.
"""

import os
import secrets
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from gpuagent.errors import ConfigError

if TYPE_CHECKING:
    from pymongo import MongoClient

REPLICA_SET = "gpuagent"
USER = "gpuagent"
"""The name of the clients' user, and of the user's role."""
ROLES = ("readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor")
UNHELD_BY_SIGNATURES = {"resource": {"cluster": True}, "actions": ["advanceClusterTime"]}
"""Else a client that outlives a restart of mongod would be turned away, until that has found the keys of its clock."""
KEY, PASSWORD, PASSWORD_NEW = "mongod.key", "password", "password.new"
SUPERUSER = "__system"
"""mongod's name for a member of its own replica set, who logs in with the key."""
SECRET_BYTES = 32
OTHERS = 0o077


class MongodError(ConfigError):
    """The embedded server cannot start: says why and what to do."""


def check_folder(home: Path) -> None:
    """Make the folder its owner's alone. Raises MongodError where that is another user: they could read all in it."""
    status = home.stat()
    if status.st_uid != os.geteuid():
        raise MongodError(
            f"{home} belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}: "
            "choose a folder of your own, or set MONGODB_URI"
        )
    if stat.S_IMODE(status.st_mode) & OTHERS:
        home.chmod(0o700)


def prepare(home: Path) -> Path:
    """The key's file, made at the folder's first start. Raises MongodError where it is lost, or others may read it."""
    key = home / KEY
    if key.exists():
        read_secret(key)  # mongod's own complaint is long, and says neither
    elif (home / PASSWORD).exists() and not (home / PASSWORD_NEW).exists():
        raise _lost(key)
    else:
        write_secret(key)
    return key


def admit_user(superuser: "MongoClient[dict[str, Any]]", home: Path) -> None:
    """Make the clients' user, with the password in the folder. Raises MongodError where the password is lost."""
    password, new = home / PASSWORD, home / PASSWORD_NEW
    exists = bool(superuser.admin.command("usersInfo", USER)["users"])
    if exists and not new.exists():
        if not password.exists():
            raise _lost(password)
        return
    if not new.exists():
        if password.exists():  # the data were removed, and the password stayed
            password.replace(new)
        else:
            write_secret(new)
    role = "updateRole" if superuser.admin.command("rolesInfo", USER)["roles"] else "createRole"
    superuser.admin.command(role, USER, privileges=[UNHELD_BY_SIGNATURES], roles=list(ROLES))
    user = "updateUser" if exists else "createUser"
    superuser.admin.command(user, USER, pwd=read_secret(new), roles=[USER], mechanisms=["SCRAM-SHA-256"])
    new.replace(password)


def superuser_uri(port: int, home: Path) -> str:
    return _uri(port, SUPERUSER, read_secret(home / KEY), "local", "directConnection=true")


def user_uri(port: int, home: Path) -> str:
    """The clients' URI. Raises MongodError where there is no password."""
    password = home / PASSWORD
    if not password.exists():
        raise MongodError(
            f"an earlier version of gpuagent runs the database of {home}, without a password: "
            "end every command and notebook that uses it, then start again; the data stay"
        )
    return client_uri(port, USER, read_secret(password))


def client_uri(port: int, user: str, password: str) -> str:
    """The URI of a client, who waits for the primary.

    A direct connection takes whatever answers, and one that was made while mongod starts refuses transactions for as
    long as it lives.
    """
    return _uri(port, user, password, "admin", f"replicaSet={REPLICA_SET}")


def refused(home: Path) -> MongodError:
    """The error for a server that does not take the password in its folder."""
    return MongodError(f"the database of {home} does not take the password in {home / PASSWORD}: {_advice(home)}")


def read_secret(path: Path) -> str:
    """The secret in a file. Raises MongodError where others may read the file or have written it, or it is empty."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & OTHERS:
            raise MongodError(
                f"others may read {path}, or wrote it: look who has read it, then `chmod 600` it; "
                "where that changes nothing, the disk keeps no secrets: choose another folder"
            )
        secret = b"".join(file.read().split())  # as mongod reads its key
    if not (secret and secret.isascii()):
        raise MongodError(f"{path} is empty, or no secret of ours: {_advice(path.parent)}")
    return secret.decode()


def write_secret(path: Path) -> None:
    """A new secret in a new file, whole on the disk before it has its name."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(SECRET_BYTES))
        file.flush()
        os.fsync(descriptor)
    part.replace(path)


def _lost(path: Path) -> MongodError:
    return MongodError(f"{path} is lost: {_advice(path.parent)}")


def _advice(home: Path) -> str:
    """The two ways on; the second is the owner's deliberate act."""
    write = "import secrets; print(secrets.token_hex(32))"
    command = f"(umask 077; python3 -c {shlex.quote(write)} > {shlex.quote(str(home / PASSWORD_NEW))})"
    return f"put it back from a backup; or, with all that uses the database ended, set a new password by {command}"


def _uri(port: int, user: str, password: str, source: str, topology: str) -> str:
    options = f"{topology}&retryWrites=true&w=majority&journal=true&authSource={source}"
    return f"mongodb://{quote_plus(user)}:{quote_plus(password)}@127.0.0.1:{port}/?{options}"
