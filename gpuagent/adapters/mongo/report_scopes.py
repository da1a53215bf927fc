"""Whether a report's scope excludes any document: a filter that excludes none costs the server a third of its time."""

from typing import Any

import pymongo
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.records import ReportScope

SECONDS = 1.0
"""For what indexes tell at once; a database that lacks them is asked document by document."""
SHARED = ("network", "quote.network", "createdAt")
"""What all documents of a database may have in common with a scope."""


def holds_all(database: Database[Document], session: ClientSession, scope: ReportScope) -> bool:
    """Whether every run, job and payment is of the scope's network, and every run and job of before its end.

    False where it is not known. A payment without a network is the original system's, as are runs without one.
    """
    other, late = {"$ne": scope.network}, {"$not": {"$lt": scope.until}}
    try:
        with pymongo.timeout(SECONDS):
            vendors = {"$in": [None, *database.jobs.distinct("vendorId", session=session)]}
            outside: list[tuple[str, dict[str, Any]]] = [
                ("runs", {"network": other}),
                ("runs", {"createdAt": late}),
                ("jobs", {"vendorId": vendors, "quote.network": other}),
                ("jobs", {"vendorId": vendors, "quote.network": scope.network, "createdAt": late}),
                ("payments", {"network": {"$exists": True, **other}}),
            ]
            return not any(database[name].find_one(match, {"_id": 1}, session=session) for name, match in outside)
    except PyMongoError:
        return False
