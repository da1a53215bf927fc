"""Changes to runs, by whichever process, from MongoDB's change stream; secrets are left out."""

import re
from collections.abc import Generator, Mapping
from typing import Any

from bson import ObjectId
from pymongo.change_stream import ChangeStream
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.records import Change
from gpuagent.core.text import driver_text
from gpuagent.errors import BadInput, ChangesLost, StoreError

KINDS = {"runs": "run", "jobs": "job", "payments": "payment", "observations": "observation", "policies": "policy"}
IDLE_S = 1.0
LOST = (280, 286)
"""MongoDB's ChangeStreamFatalError and ChangeStreamHistoryLost."""
SECRETS = [f"{part}.{name}" for part in ("fullDocument", "updated") for name in SECRET_FIELDS]
_TOKEN = re.compile("[0-9A-Fa-f]{2,2000}")


def watch(
    database: Database[dict[str, Any]], run_id: str | None, resume_after: str | None = None, idle_s: float = IDLE_S
) -> Generator[Change, None, None]:
    """Every change to a run, or to all runs (None), in order, until the caller leaves the loop or closes the iterator.

    The first Change is always `open`: from there on nothing is missed, so read the documents then, and no earlier.
    After every idle_s seconds without news comes an `idle`: a moment to send a sign of life, or to leave.
    resume_after: a Change's token, to go on where another watch ended, after a failure or in another process.

    It blocks: give it a thread. Raises BadInput for a malformed id or token; ChangesLost when the server does not
    keep the changes since the token any more: watch from now, and read everything anew; StoreError when MongoDB
    does not answer: watch again with the last token.
    """
    if run_id is not None and not ObjectId.is_valid(run_id):
        raise BadInput(f"{run_id[:40]!r} is not a run id: `gpuagent run list` shows them")
    if resume_after is not None and not _TOKEN.fullmatch(resume_after):
        raise BadInput("that is not a token of a change: leave it out to watch from now")
    try:
        with database.watch(
            _pipeline(run_id),
            full_document="updateLookup",
            resume_after={"_data": resume_after} if resume_after else None,
            max_await_time_ms=int(idle_s * 1000),
        ) as stream:
            yield Change("open", _newest(stream, resume_after), {})
            while stream.alive:
                event = stream.try_next()
                if event is None:
                    yield Change("idle", _newest(stream, resume_after), {})
                else:
                    whole, kind = event["fullDocument"], KINDS[event["ns"]["coll"]]
                    yield Change(kind, event["_id"]["_data"], whole, event.get("updated", whole))
        raise ChangesLost("the database was dropped while it was watched")
    except OperationFailure as error:  # the server is there
        if not resume_after and error.code not in LOST:
            raise StoreError(f"MongoDB refuses to be watched: {driver_text(str(error))}") from error
        raise ChangesLost(
            f"the changes since then are not kept any more ({driver_text(str(error), 100)}): read anew"
        ) from error
    except PyMongoError as error:
        raise StoreError(f"MongoDB cannot be watched ({type(error).__name__}): {driver_text(str(error))}") from error


def _pipeline(run_id: str | None) -> list[Mapping[str, Any]]:
    match: dict[str, Any] = {"ns.coll": {"$in": list(KINDS)}, "fullDocument": {"$type": "object"}}
    if run_id is not None:
        key = ObjectId(run_id)
        match["$or"] = [{"ns.coll": "runs", "documentKey._id": key}, {"fullDocument.runId": key}]
    updated_fields = "$updateDescription.updatedFields"
    fields = {"ns": 1, "fullDocument": 1, "updated": updated_fields}
    return [{"$match": match}, {"$project": fields}, {"$unset": SECRETS}]


def _newest(stream: ChangeStream[Any], before: str | None) -> str:
    token = stream.resume_token
    return str(token["_data"]) if token else before or ""
