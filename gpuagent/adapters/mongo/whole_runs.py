"""Whole runs with their jobs, the policy and the vendors: documents of several collections in one read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.collection import Collection

from gpuagent.adapters.mongo import documents
from gpuagent.adapters.mongo.original import check_ours
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.values import Document, object_id
from gpuagent.core.model import Run
from gpuagent.errors import UnknownRun

Stages = list[Mapping[str, Any]]
# One that the original system recorded has no pinned payee: nothing can be bought from it.
BUYABLE: Mapping[str, Any] = {"payTo": {"$exists": True}}
BATCH = 10_000
"""Documents that one answer of the server may have: more than a run has."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """now: the server's clock. policy: the document in force, if there is one. vendors: in no order."""

    run: Run
    now: datetime
    policy: Document | None
    vendors: list[Document]


def runs_with_all(run_id: Any) -> Stages:
    """Runs with their jobs and payments, as of one moment. run_id: an ObjectId, or what the query matches with one."""
    return [
        {"$match": {"_id": run_id}},
        {"$lookup": {"from": "jobs", "localField": "_id", "foreignField": "runId", "as": "jobs"}},
        {"$lookup": {"from": "payments", "localField": "_id", "foreignField": "runId", "as": "payments"}},
    ]


def run_of(document: Document) -> Run:
    """What runs_with_all() brings. Raises RunNotOurs."""
    check_ours(document)
    return documents.run_from(document, document["jobs"], document["payments"])


def load(runs: Collection[Document], run_id: str) -> Run:
    """Raises UnknownRun, and RunNotOurs for a run of the original system."""
    document = next(iter(runs.aggregate(runs_with_all(object_id(run_id)))), None)
    if document is None:
        raise _unknown(run_id)
    return run_of(document)


def read(runs: Collection[Document], run_id: str) -> WholeRun:
    """The run, first of all: jobs and payments may be newer than it, and never older. Raises as load() does.

    A run that has moved on meanwhile is refused by its version when it is saved. The collections follow each other,
    which takes the server two thirds of the time that it takes to join them.
    """
    own = object_id(run_id)
    pipeline: Stages = [
        {"$match": {"_id": own}},
        {"$replaceWith": {"runs": "$$ROOT", "now": "$$NOW"}},
        _following("jobs", {"runId": own}),
        _following("payments", {"runId": own}),
        _following("policies", CURRENT),
        _following("vendors", BUYABLE),
    ]
    by_collection: dict[str, list[Document]] = defaultdict(list)
    now: datetime | None = None
    for marked in runs.aggregate(pipeline, batchSize=BATCH):
        now = marked.pop("now", now)
        for name, document in marked.items():
            by_collection[name].append(document)
    if now is None:
        raise _unknown(run_id)
    (run,) = by_collection["runs"]
    check_ours(run)
    policy = next(iter(by_collection["policies"]), None)
    whole = documents.run_from(run, by_collection["jobs"], by_collection["payments"])
    return WholeRun(whole, now, policy, by_collection["vendors"])


def _following(name: str, match: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"$unionWith": {"coll": name, "pipeline": [{"$match": match}, {"$replaceWith": {name: "$$ROOT"}}]}}


def by_id(vendors: Iterable[Document]) -> list[Document]:
    return sorted(vendors, key=lambda vendor: str(vendor["vendorId"]))


def _unknown(run_id: str) -> UnknownRun:
    return UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
