"""MongoDB users with limited rights: readers and approvers. Created on the embedded server, checked on any other.

What a user may write is the database's to enforce. It knows collections and no fields, so whoever may decide could
change any field of a run or a job by a program of their own; the pages offer decisions alone.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.embedded_secrets import KEY, UNHELD_BY_SIGNATURES, client_uri, read_secret, superuser_uri

Write = tuple[str, str]
"""An action, and the collection that it is on; "*" for all of a database, or all there is."""

DECISIONS: frozenset[Write] = frozenset(
    {
        *(("update", "runs"), ("update", "jobs"), ("insert", "jobs"), ("insert", "observations")),
        *(("update", "alerts"), ("insert", "alerts")),
    }
)
"""What an approval, a rejection or a cancellation writes, alerts with it. What is an upsert takes both rights."""
READS = frozenset(
    {
        *("find", "changeStream", "collStats", "dbStats", "dbHash", "indexStats", "killCursors"),
        *("listCollections", "listIndexes", "listSearchIndexes", "planCacheRead", "planCacheIndexFilter"),
        *("listDatabases", "connPoolStats", "serverStatus", "replSetGetStatus", "advanceClusterTime"),
    }
)


def writes(connection: Connection) -> frozenset[Write] | None:
    """All that the connection's user may do beyond reading; None where the server has no access control."""
    status = connection.client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not status["authenticatedUsers"]:
        return None
    own = connection.database.name
    return frozenset(
        (action, _scope(privilege["resource"], own))
        for privilege in status["authenticatedUserPrivileges"]
        for action in privilege["actions"]
        if action not in READS
    )


def admit(folder: Path, uri: str, database: str, allowed: Mapping[str, Iterable[Write]]) -> dict[str, str]:
    """The URI of a user for each name on the embedded server of this folder, who may read the database and make these
    writes, and nothing else. Safe to repeat: the passwords follow from the server's own key.

    uri: of the server, as any user. Raises MongodError where the server's key cannot be read.
    """
    port, key = urlsplit(uri).port or 0, read_secret(folder / KEY)
    uris = {}
    with MongoClient[dict[str, Any]](superuser_uri(port, folder)) as superuser:
        for name, own_writes in allowed.items():
            user = f"gpuagent_{name}_{database}"
            password = hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()
            privileges = [UNHELD_BY_SIGNATURES] + [
                {"resource": {"db": database, "collection": collection}, "actions": [action]}
                for action, collection in sorted(own_writes)
            ]
            earlier = superuser.admin.command("rolesInfo", user)["roles"]
            roles = [{"role": "read", "db": database}]
            superuser.admin.command("updateRole" if earlier else "createRole", user, privileges=privileges, roles=roles)
            earlier = superuser.admin.command("usersInfo", user)["users"]
            superuser.admin.command(
                "updateUser" if earlier else "createUser",
                user,
                pwd=password,
                roles=[user],
                mechanisms=["SCRAM-SHA-256"],
            )
            uris[name] = client_uri(port, user, password)
    return uris


def _scope(resource: Mapping[str, Any], database: str) -> str:
    """The collection of our own database, or "*" for whatever is more, or elsewhere."""
    return str(resource.get("collection") or "*") if resource.get("db") == database else "*"
