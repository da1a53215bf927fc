"""Answers by idempotency key: what was answered once is answered again, and not done again. Kept for a day."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.values import date

KEPT_S = 86_400.0
WORKING_S = 300.0
"""Who claimed a key and has not answered in this time is taken to be dead: the next request does the work."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The key is ours: do the work. run_id: for the run that it may start, the same for all who claim this key.

    again: somebody claimed it before, and came to no answer.
    """

    id: str
    run_id: str
    again: bool


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InProgress:
    pass


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key was used for another body."""


class MongoAnswers:
    """Raises StoreError. at: Unix seconds."""

    def __init__(self, database: Database[dict[str, Any]], deadline_s: float) -> None:
        self._answers = database.answers
        self._deadline_s = deadline_s
        with bounded(deadline_s):
            self._answers.create_indexes([IndexModel([("createdAt", ASCENDING)], expireAfterSeconds=int(KEPT_S))])

    def claim(self, who: str, key: str, request: bytes, at: float) -> Claim | Answered | InProgress | OtherRequest:
        """One of all that claim a key at once gets it. request: what must be the same to be given the same answer."""
        name = hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()
        asked = hashlib.sha256(request).hexdigest()
        fresh = {
            "_id": name,
            "request": asked,
            "runId": ObjectId(),
            "until": date(at + WORKING_S),
            "createdAt": date(at),
        }
        with bounded(self._deadline_s):
            try:
                self._answers.insert_one(fresh)
            except DuplicateKeyError:
                return self._known(name, asked, at)
        return Claim(name, str(fresh["runId"]), again=False)

    def answer(self, claim: Claim, status: int, body: Mapping[str, Any]) -> None:
        """What every later request with the key is told."""
        with bounded(self._deadline_s):
            self._answers.update_one({"_id": claim.id}, {"$set": {"status": status, "body": json.dumps(body)}})

    def give_up(self, claim: Claim, at: float) -> None:
        """It came to no answer that counts: whoever asks next does the work."""
        with bounded(self._deadline_s):
            self._answers.update_one({"_id": claim.id, "status": None}, {"$set": {"until": date(at)}})

    def _known(self, name: str, asked: str, at: float) -> Claim | Answered | InProgress | OtherRequest:
        found = self._answers.find_one({"_id": name})
        if found is None:
            return InProgress()  # it has just expired; the next request begins anew
        if found["request"] != asked:
            return OtherRequest()
        if "status" in found:
            return Answered(found["status"], json.loads(found["body"]))
        taken = self._answers.find_one_and_update(
            {"_id": name, "status": None, "until": {"$lte": date(at)}},
            {"$set": {"until": date(at) + timedelta(seconds=WORKING_S)}},
            return_document=ReturnDocument.AFTER,
        )
        return Claim(name, str(taken["runId"]), again=True) if taken else InProgress()
