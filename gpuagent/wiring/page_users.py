"""MongoDB users with the rights that a page of the console needs, and no others."""

from typing import TYPE_CHECKING

from gpuagent.wiring.database import Database

if TYPE_CHECKING:
    from pathlib import Path


READER, APPROVER = "reader", "approver"
"""MongoDB users of pages: one who may only read, and one who may also decide about runs."""


def page_users(database: Database, folder: "Path") -> dict[str, str]:
    """The URIs of READER and APPROVER on the embedded server of this folder. Raises MongodError."""
    from gpuagent.adapters.mongo import users

    connection = database.connection
    host, port = connection.client.address or ("", 0)
    allowed = {READER: (), APPROVER: users.DECISIONS}
    return users.admit(folder, f"mongodb://{host}:{port}", connection.database.name, allowed)


def excess_rights(database: Database, user: str) -> str:
    """What the database's user may do beyond what READER or APPROVER needs, in words; "" for nothing."""
    from gpuagent.adapters.mongo import users

    granted = users.writes(database.connection)
    if granted is None:
        return "the server lets anybody in"
    excess = granted - (users.DECISIONS if user == APPROVER else frozenset())
    return ", ".join(f"{action} on {collection}" for action, collection in sorted(excess)[:5])
