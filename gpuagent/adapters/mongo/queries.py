"""Queries of the REST server: a run's documents, decisions, spending."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING

from gpuagent.adapters.mongo import original
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.idempotency import MongoAnswers
from gpuagent.adapters.mongo.leases import MongoLeases
from gpuagent.adapters.mongo.values import Document, date
from gpuagent.core.money import amount
from gpuagent.errors import UnknownRun

GROUPS = {
    "vendor": "$vendorId",
    "day": {"$dateToString": {"date": "$settledAt", "format": "%Y-%m-%d"}},
    "user": "$run.userId",
    "planner": "$run.planner",
    "tag": "$tags",
}


class MongoQueries:
    """Documents of runs, spending by group, answers by idempotency key and leases, for a server. Raises StoreError."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._database = connection.database

    # Each makes its indexes when it is first used: what never serves needs neither collection.

    @cached_property
    def answers(self) -> MongoAnswers:
        return MongoAnswers(self._database, self.connection.deadline_s)

    @cached_property
    def leases(self) -> MongoLeases:
        return MongoLeases(self._database, self.connection.deadline_s)

    def run(self, run_id: str) -> Document:
        """The run's document alone. Raises UnknownRun."""
        document = None
        if ObjectId.is_valid(run_id):
            with self.connection.deadline():
                document = self._database.runs.find_one({"_id": ObjectId(run_id)})
        if document is None:
            raise UnknownRun(f"there is no run {run_id[:40]}: `gpuagent run list` shows them")
        return document

    def snapshot(self, run_id: str) -> dict[str, list[Document]]:
        """The run's documents by collection, all as of one moment. Raises UnknownRun.

        Those of the original system are as original.py shows them.
        """
        key = ObjectId(run_id)
        database = self._database
        with self.connection.deadline(), database.client.start_session(snapshot=True) as session:
            documents: dict[str, list[Document]] = {"runs": list(database.runs.find({"_id": key}, session=session))}
            for name, order in (("jobs", "ordinal"), ("payments", "_id"), ("observations", "_id")):
                documents[name] = list(database[name].find({"runId": key}, session=session).sort(order))
        if not documents["runs"]:
            raise UnknownRun(f"there is no run {run_id}")
        return original.shown_documents(documents)

    def decision_since(self, run_id: str, version: int) -> Mapping[str, Any] | None:
        """The record of the run's last decision after that version, with the reason that was given."""
        with self.connection.deadline():
            observation = self._database.observations.find_one(
                {"runId": ObjectId(run_id), "tick": {"$gt": version}, "type": "agent_reasoning"},
                {"content": 1, "data.decision": 1},
                sort=[("_id", DESCENDING)],
            )
        return (
            {**(observation["data"].get("decision") or {}), "reason": observation["content"]} if observation else None
        )

    def spend(self, by: str, since: float, until: float) -> list[dict[str, Any]]:
        """Spending settled on chain in [since, until), Unix seconds, by group; amounts in atomic units.

        A job counts under each tag of its run, and under none if there is none. wasted: paid for jobs that failed.
        """
        period = {"$gte": date(since), "$lt": date(until)}
        stages: list[Mapping[str, Any]] = [{"$match": {"state": "settled", "settledAt": period}}]
        if by == "tag":
            stages.append({"$unwind": {"path": "$tags", "preserveNullAndEmptyArrays": True}})
        if by in ("user", "planner"):
            stages += _RUN
        stages += [
            {
                "$group": {
                    "_id": GROUPS[by],
                    "settled": {"$sum": "$actualCost"},
                    "wasted": {"$sum": {"$cond": [{"$eq": ["$status", "failed"]}, "$actualCost", 0]}},
                    "payments": {"$sum": 1},
                    "jobsCompleted": {"$sum": {"$cond": [{"$eq": ["$status", "completed"]}, 1, 0]}},
                }
            },
            {"$sort": {"settled": -1, "_id": 1}},
        ]
        with self.connection.deadline():
            return [_group(group) for group in self._database.jobs.aggregate(stages)]

    def unproven(self) -> tuple[int, int]:
        """Payments that the original system calls completed, and their sum: claims, not money."""
        with self.connection.deadline():
            claims = self._database.payments.find(original.CLAIMS, {"amount": 1})
            amounts = [amount(original.exact(payment.get("amount"))) for payment in claims]
        return len(amounts), sum(amounts)


_RUN: Sequence[Mapping[str, Any]] = [
    {"$lookup": {"from": "runs", "localField": "runId", "foreignField": "_id", "as": "run"}},
    {"$set": {"run": {"$first": "$run"}}},
]


def _group(group: Document) -> dict[str, Any]:
    """MongoDB's sum of no amounts is the integer 0."""
    return {
        "key": group["_id"] or "",
        "settled": amount(group["settled"]),
        "wasted": amount(group["wasted"]) if group["wasted"] else 0,
        "payments": group["payments"],
        "jobsCompleted": group["jobsCompleted"],
    }
