"""Answers by idempotency key, so that a repeated request gets the first answer and nothing is done twice."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.values import date
from gpuagent.core.idempotency import ClaimResult, InProgress, KeyClaim, OtherRequest, StoredAnswer

KEPT_S = 86_400.0
WORKING_S = 300.0
"""A claim without an answer for this long is taken for dead: the next request does the work."""


class MongoAnswers:
    """Claims and answers in the collection `answers`. Raises StoreError. at: Unix seconds."""

    def __init__(self, database: Database[dict[str, Any]], deadline_s: float) -> None:
        self._answers = database.answers
        self._deadline_s = deadline_s
        with bounded(deadline_s):
            self._answers.create_indexes([IndexModel([("createdAt", ASCENDING)], expireAfterSeconds=int(KEPT_S))])

    def claim(self, owner: str, key: str, request: bytes, at: float) -> ClaimResult:
        """Claim the owner's key; of all requests that do so at once one gets a KeyClaim.

        request: the bytes that must be the same for the same answer.
        """
        claim_id = hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()
        digest = hashlib.sha256(request).hexdigest()
        document = {
            "_id": claim_id,
            "request": digest,
            "runId": ObjectId(),
            "until": date(at + WORKING_S),
            "createdAt": date(at),
        }
        with bounded(self._deadline_s):
            try:
                self._answers.insert_one(document)
            except DuplicateKeyError:
                return self._claim_again(claim_id, digest, at)
        return KeyClaim(claim_id, str(document["runId"]), again=False)

    def answer(self, claim: KeyClaim, status: int, body: Mapping[str, Any]) -> None:
        """Store the answer for every later request with the key."""
        with bounded(self._deadline_s):
            self._answers.update_one({"_id": claim.id}, {"$set": {"status": status, "body": json.dumps(body)}})

    def give_up(self, claim: KeyClaim, at: float) -> None:
        """End a claim that came to no lasting answer: the next request with the key does the work."""
        with bounded(self._deadline_s):
            self._answers.update_one({"_id": claim.id, "status": None}, {"$set": {"until": date(at)}})

    def _claim_again(self, claim_id: str, digest: str, at: float) -> ClaimResult:
        document = self._answers.find_one({"_id": claim_id})
        if document is None:
            return InProgress()  # it has just expired; the next request begins anew
        if document["request"] != digest:
            return OtherRequest()
        if "status" in document:
            return StoredAnswer(document["status"], json.loads(document["body"]))
        renewed = self._answers.find_one_and_update(
            {"_id": claim_id, "status": None, "until": {"$lte": date(at)}},
            {"$set": {"until": date(at) + timedelta(seconds=WORKING_S)}},
            return_document=ReturnDocument.AFTER,
        )
        return KeyClaim(claim_id, str(renewed["runId"]), again=True) if renewed else InProgress()
