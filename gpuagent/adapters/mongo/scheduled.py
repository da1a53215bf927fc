"""The one read that tells a scheduled start whether there is anything to do."""

import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.statuses import UNFINISHED
from gpuagent.adapters.mongo.values import object_id

FIELDS = (
    *("tags", "status", "reason", "held", "createdAt"),
    *("goal", "workloadHash", "budgetTotal", "gpuType", "maxHours", "userId", "planner"),
)


def scheduled_runs(uri: str, database: str, name: str, run_id: str) -> list[Mapping[str, Any]]:
    """The run with this id, and those of earlier periods that are not over, newest first; FIELDS of their documents.

    name: that runs of all its periods begin with, a tag of each; "" for a run without periods.
    Raises ConfigError, StoreError.
    """
    earlier = {"tags": {"$regex": f"^{re.escape(name)}-"}, **OURS, "$or": UNFINISHED}
    with closing(Connection(uri, database, look_only=True)) as connection, connection.deadline():
        this = {"_id": object_id(run_id)}
        runs = connection.database.runs.find({"$or": [this, earlier]} if name else this, FIELDS)
        return sorted(runs, key=lambda run: (run["createdAt"], run["_id"]), reverse=True)
