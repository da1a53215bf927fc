"""Lists of runs by page, filtered and sorted: by indexes, by key, and within DEADLINE_S, however many there are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pymongo
from bson import Decimal128, ObjectId
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from gpuagent.adapters.mongo import original
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.run_list import COUNT_MAX, RunFilter, RunPage, RunSort, SortField
from gpuagent.errors import BadInput, StoreError

DEADLINE_S = 2.0
"""Seconds for a page and its count together: a list is asked for at every key that is pressed in a search."""
VENDOR_JOBS_MAX = 2_000
"""A vendor of so many jobs or fewer is looked up from its jobs; for one with more each run is asked for its jobs."""
FIELDS = {
    SortField.STARTED: "_id",
    SortField.UPDATED: "updatedAt",
    SortField.SPENT: "settled",
    SortField.BUDGET: "budgetTotal",
}
EXACT = {"status": "status", "phase": "phase", "user": "userId", "tag": "tags"}
"""The filters that are a field's value, and that field."""
ID_BEGINNING = re.compile(r"\d[0-9a-f]{5,23}")
"""What may be the beginning of a run's id: they begin with their time, and that with a digit."""
Steps = Sequence[Mapping[str, Any]]


def run_page(
    database: Database[Document], where: RunFilter, sort: RunSort, limit: int, before: str, counted: bool
) -> RunPage:
    """The page, as run_list.RunLists has it; the original system's runs as original.py shows them."""
    field, direction = FIELDS[sort.field], ASCENDING if sort.ascending else DESCENDING
    order = {field: direction} if field == "_id" else {field: direction, "_id": direction}
    with _in_time():
        match, at_vendor = _match(database, where)
        rest = [match, _rest(database, sort, before)] if before else [match]
        steps = [{"$match": _all_of(rest)}, {"$sort": order}, *at_vendor, {"$limit": limit + 1}, {"$unset": "workload"}]
        documents = list(database.runs.aggregate(steps))
        count = _count(database, match, at_vendor) if counted else None
    page, is_last = documents[:limit], len(documents) <= limit
    following = "" if is_last else _place(page[-1], field)
    return RunPage([original.shown_run(document) for document in page], following, count)


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        with pymongo.timeout(DEADLINE_S):
            yield
    except (ExecutionTimeout, NetworkTimeout) as error:
        raise StoreError(
            f"the list takes longer than {DEADLINE_S:g} s: filter by user, tag or status as well, or sort by started"
        ) from error


def _all_of(conditions: Sequence[Document]) -> Document:
    conditions = [condition for condition in conditions if condition]
    return {"$and": conditions} if len(conditions) > 1 else (conditions or [{}])[0]


# Filters


def _match(database: Database[Document], where: RunFilter) -> tuple[Document, Steps]:
    """What runs must match, and the steps that drop those without a job at the vendor."""
    exact: Document = {field: value for name, field in EXACT.items() if (value := getattr(where, name))}
    at_vendor, steps = _at_vendor(database, where.vendor)
    return _all_of([exact, _containing(database, where.text), at_vendor]), steps


def _containing(database: Database[Document], text: str) -> Document:
    terms = re.findall(r"\w+", text)
    if not terms:
        return {"_id": {"$in": []}} if text.strip() else {}
    beginning = terms[0].lower()
    if len(terms) == 1 and ID_BEGINNING.fullmatch(beginning):
        ids = {"_id": {"$gte": ObjectId(beginning.ljust(24, "0")), "$lte": ObjectId(beginning.ljust(24, "f"))}}
        if database.runs.find_one(ids, {"_id": 1}):
            return ids
    return {"$text": {"$search": " ".join(f'"{word}"' for word in terms)}}  # quoted: all of them, not any


def _at_vendor(database: Database[Document], vendor: str) -> tuple[Document, Steps]:
    if not vendor:
        return {}, []
    jobs = list(database.jobs.find({"vendorId": vendor}, {"runId": 1}).limit(VENDOR_JOBS_MAX + 1))
    if len(jobs) <= VENDOR_JOBS_MAX:
        return {"_id": {"$in": sorted({job["runId"] for job in jobs})}}, []
    one = [{"$match": {"vendorId": vendor}}, {"$limit": 1}, {"$project": {"_id": 1}}]
    jobs_there = {"from": "jobs", "localField": "_id", "foreignField": "runId", "pipeline": one, "as": "jobsThere"}
    return {}, [{"$lookup": jobs_there}, {"$match": {"jobsThere": {"$ne": []}}}, {"$unset": "jobsThere"}]


def _count(database: Database[Document], match: Document, at_vendor: Steps) -> int:
    """How many runs match, COUNT_MAX + 1 for more."""
    if not match and not at_vendor:
        return min(database.runs.estimated_document_count(), COUNT_MAX + 1)
    steps = [{"$match": match}, {"$project": {"_id": 1}}, *at_vendor, {"$limit": COUNT_MAX + 1}, {"$count": "runs"}]
    return next((int(row["runs"]) for row in database.runs.aggregate(steps)), 0)


# Pages. A place is the last run's id, and behind a colon what the list is sorted by, as it was then.


def _place(document: Document, field: str) -> str:
    if field == "_id":
        return str(document["_id"])
    return f"{document['_id']}:{_written(document.get(field))}"


def _written(value: object) -> str:
    match value:
        case datetime():
            return str(round(value.replace(tzinfo=UTC if value.tzinfo is None else value.tzinfo).timestamp() * 1000))
        case None:
            return ""
    return str(value)


def _rest(database: Database[Document], sort: RunSort, before: str) -> Document:
    """What comes behind that place in the list."""
    run_id, has_value, written = before.partition(":")
    unknown = BadInput(f"{before[:60]!r} is no place in the list: take `next` of the page before, or a run's id")
    if not ObjectId.is_valid(run_id):
        raise unknown
    key, field, beyond = ObjectId(run_id), FIELDS[sort.field], "$gt" if sort.ascending else "$lt"
    if field == "_id":
        return {"_id": {beyond: key}}
    if has_value:
        try:
            value = _read(written, sort.field)
        except (ValueError, InvalidOperation, OverflowError):
            raise unknown from None
    else:
        value = (database.runs.find_one({"_id": key}, {field: 1}) or {}).get(field)
    ties: Document = {field: value, "_id": {beyond: key}}
    if value is None:  # runs of the original system may lack it: they come last, or first where the list ascends
        return {"$or": [ties, {field: {"$ne": None}}]} if sort.ascending else ties
    return {"$or": [{field: {beyond: value}}, ties, *([] if sort.ascending else [{field: None}])]}


def _read(written: str, field: SortField) -> object:
    if not written:
        return None
    if field is SortField.UPDATED:
        return datetime.fromtimestamp(int(written) / 1000, UTC)
    return Decimal128(Decimal(written))
