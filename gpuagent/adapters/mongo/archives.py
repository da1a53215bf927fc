"""The archive of runs' observations: moved out of the database as lines of extended JSON, and restored from them.

`runs.archive` is the record: the file's hash, how many observations it holds, and how far its taking out has come.
"""

from collections.abc import Iterator, Sequence

from bson import json_util
from pymongo import ASCENDING, ReplaceOne
from pymongo.client_session import ClientSession

from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.run_files import is_open
from gpuagent.adapters.mongo.values import Document, date, object_id
from gpuagent.core.archives import Archive, ArchiveState
from gpuagent.errors import UnknownRun

DECISION_KEEPS = ("planner", "decidedBy", "model", "latencyMs", "tokens", "cost")
"""What of a decision's data reports read."""
_JSON = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)


class MongoArchives:
    """The ObservationStore of agent/archive.py. Raises StoreError."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self._database = connection, connection.database

    def aged(self, before: float) -> Iterator[str]:
        old = {"$lt": date(before)}
        match = {
            **OURS,
            "status": {"$in": ["completed", "failed"]},
            "updatedAt": old,
            "archive.state": {"$in": [None, ArchiveState.ARCHIVING]},
            "restoredAt": {"$not": {"$gte": date(before)}},
        }
        with self.connection.deadline():
            run_ids = [run["_id"] for run in self._database.runs.find(match, {"_id": 1}).sort("updatedAt", ASCENDING)]
        for run_id in run_ids:
            with self.connection.deadline():
                jobs = self._database.jobs.find({"runId": run_id}, {"state": 1, "status": 1})
                over = not any(map(is_open, jobs))
            if over:
                yield str(run_id)

    @deadlined
    def archive(self, run_id: str) -> tuple[Archive, ArchiveState] | None:
        run = self._database.runs.find_one({"_id": object_id(run_id)}, {"archive": 1})
        if run is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        if "archive" not in run:
            return None
        record = run["archive"]
        archive = Archive(record["sha256"], int(record["bytes"]), int(record["observations"]))
        return archive, ArchiveState(record["state"])

    def lines(self, run_id: str) -> Iterator[bytes]:
        last: Document = {}
        while True:
            match = {"runId": object_id(run_id), **({"_id": {"$gt": last["_id"]}} if last else {})}
            with self.connection.deadline():
                batch = list(self._database.observations.find(match).sort("_id", ASCENDING).limit(1_000))
            if not batch:
                return
            last = batch[-1]
            yield from (json_util.dumps(observation, json_options=_JSON).encode() for observation in batch)

    @deadlined
    def begin(self, run_id: str, archive: Archive, at: float) -> bool:
        match = {"_id": object_id(run_id), "archive": None, "status": {"$in": ["completed", "failed"]}}
        record = {
            "sha256": archive.sha256,
            "bytes": archive.bytes,
            "observations": archive.observations,
            "at": date(at),
            "state": ArchiveState.ARCHIVING.value,
        }
        return bool(self._database.runs.update_one(match, {"$set": {"archive": record}}).matched_count)

    @deadlined
    def take_out(self, run_id: str, archive: Archive, lines: Sequence[bytes]) -> bool:
        observations = [json_util.loads(line.decode(), json_options=_JSON) for line in lines]
        decisions = [observation["_id"] for observation in observations if observation["type"] == "agent_reasoning"]
        remainder = [observation["_id"] for observation in observations if observation["type"] != "agent_reasoning"]
        brief = {name: f"$data.{name}" for name in DECISION_KEEPS} | {"archived": {"$literal": True}}

        def write(session: ClientSession) -> bool:
            if not self._hold(session, run_id, archive, ArchiveState.ARCHIVING):
                return False
            of_run = {"runId": object_id(run_id)}
            self._database.observations.delete_many({**of_run, "_id": {"$in": remainder}}, session=session)
            shorten: list[Document] = [
                {"$set": {"brief": brief}},
                {"$unset": "data"},
                {"$set": {"data": "$brief"}},
                {"$unset": "brief"},
            ]
            match = {**of_run, "_id": {"$in": decisions}}
            self._database.observations.update_many(match, shorten, session=session)
            return True

        return self.connection.transaction(write)

    @deadlined
    def put_back(self, run_id: str, archive: Archive, lines: Sequence[bytes]) -> bool:
        observations = [json_util.loads(line.decode(), json_options=_JSON) for line in lines]
        writes = [ReplaceOne({"_id": observation["_id"]}, observation, upsert=True) for observation in observations]

        def write(session: ClientSession) -> bool:
            if not self._hold(session, run_id, archive, ArchiveState.RESTORING):
                return False
            self._database.observations.bulk_write(writes, session=session)
            return True

        return self.connection.transaction(write)

    @deadlined
    def move(self, run_id: str, archive: Archive, before: ArchiveState, after: ArchiveState) -> bool:
        match = _this(run_id, archive, before, after)
        return bool(self._database.runs.update_one(match, {"$set": {"archive.state": after.value}}).matched_count)

    @deadlined
    def forget(self, run_id: str, archive: Archive, at: float) -> None:
        change = {"$unset": {"archive": ""}, "$set": {"restoredAt": date(at)}}
        self._database.runs.update_one(_this(run_id, archive, ArchiveState.RESTORING), change)

    def _hold(self, session: ClientSession, run_id: str, archive: Archive, state: ArchiveState) -> bool:
        """Whether this archive is in that state, which it then stays in until the transaction ends."""
        record = self._database.runs.update_one(
            _this(run_id, archive, state), {"$inc": {"archive.batches": 1}}, session=session
        )
        return bool(record.matched_count)


def _this(run_id: str, archive: Archive, *states: ArchiveState) -> Document:
    values = [state.value for state in states]
    return {"_id": object_id(run_id), "archive.sha256": archive.sha256, "archive.state": {"$in": values}}
