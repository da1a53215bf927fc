"""Pages of runs, filtered and sorted: read by indexes and keys within DEADLINE_S, however many runs there are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice

import pymongo
from bson import Decimal128, ObjectId
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from gpuagent.adapters.mongo import original
from gpuagent.adapters.mongo.statuses import of_status
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.run_list import COUNT_MAX, RunFilter, RunPage, RunSort, SortField
from gpuagent.errors import BadInput, StoreError

DEADLINE_S, COUNT_S = 2.0, 0.5
"""Seconds for a page, and for its count: a list is asked for at every key that is pressed in a search."""
FEW = 2_000
"""The runs with a text, or a vendor's jobs, are looked up first where they are so few. Where there are more, each run
of the list is asked for its text or its jobs: among so many that comes soon to a page."""
BATCH = 500
"""Runs that are asked together whether they have a job at a vendor."""
FIELDS = {
    SortField.STARTED: "_id",
    SortField.UPDATED: "updatedAt",
    SortField.SPENT: "settled",
    SortField.BUDGET: "budgetTotal",
}
EXACT = {"phase": "phase", "user": "userId", "tag": "tags"}
"""The filters beside a status that are a field's value, and that field."""
ID_BEGINNING = re.compile(r"\d[0-9a-f]{5,23}")
"""What may be the beginning of a run's id: they begin with their time, and that with a digit."""


def run_page(
    database: Database[Document], where: RunFilter, sort: RunSort, limit: int, before: str, counted: bool
) -> RunPage:
    """The page, as run_list.RunLists has it; the original system's runs as original.py shows them."""
    field, direction = FIELDS[sort.field], ASCENDING if sort.ascending else DESCENDING
    order = {field: direction} if field == "_id" else {field: direction, "_id": direction}
    with _in_time():
        match, vendor = _match(database, where)
        rest = _all_of([match, _rest(database, sort, before)]) if before else match
        ids = list(_ids(database, rest, order, vendor, limit + 1))
        by_id = {run["_id"]: run for run in database.runs.find({"_id": {"$in": ids[:limit]}}, {"workload": 0})}
    page = [by_id[key] for key in ids[:limit] if key in by_id]
    following = _place(page[-1], field) if page and len(ids) > limit else ""
    count = _count(database, match, vendor) if counted else None
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


def _match(database: Database[Document], where: RunFilter) -> tuple[Document, str]:
    """What runs must match, and the vendor at which each must be asked for a job, "" where the match says that."""
    exact: Document = {field: value for name, field in EXACT.items() if (value := getattr(where, name))}
    at_vendor, vendor = {}, where.vendor
    if vendor:
        jobs = list(database.jobs.find({"vendorId": vendor}, {"runId": 1}).limit(FEW + 1))
        if len(jobs) <= FEW:
            at_vendor, vendor = {"_id": {"$in": sorted({job["runId"] for job in jobs})}}, ""
    containing = _containing(database, where.text)
    if where.status:
        # Of runs that are named by their phase or their ids, no other index is to be chosen.
        named = {"phase", "_id"}.intersection((*exact, *containing, *at_vendor))
        exact |= {"status": where.status} if named else of_status(where.status)
    return _all_of([exact, containing, at_vendor]), vendor


def _containing(database: Database[Document], text: str) -> Document:
    """What matches the runs that a text names: by the index where they are few, else by the goals themselves."""
    terms = re.findall(r"\w+", text)
    if not terms:
        return {"_id": {"$in": []}} if text.strip() else {}
    beginning = terms[0].lower()
    if len(terms) == 1 and ID_BEGINNING.fullmatch(beginning):
        ids = {"_id": {"$gte": ObjectId(beginning.ljust(24, "0")), "$lte": ObjectId(beginning.ljust(24, "f"))}}
        if database.runs.find_one(ids, {"_id": 1}):
            return ids
    phrases = " ".join(f'"{term}"' for term in terms)  # quoted: all of them, not any
    runs = list(database.runs.find({"$text": {"$search": phrases}}, {"_id": 1}).limit(FEW + 1))
    if len(runs) <= FEW:
        return {"_id": {"$in": [run["_id"] for run in runs]}}
    # So many that a walk through the list soon has a page of them. The index would have to bring all, to sort them.
    whole = f"(*UCP)\\b({'|'.join(terms)})\\b"
    return {"$and": [{"goal": {"$regex": pattern, "$options": "i"}} for pattern in (whole, *terms)]}


def _ids(
    database: Database[Document], match: Document, order: Mapping[str, int], vendor: str, limit: int
) -> Iterator[ObjectId]:
    """The ids of the first runs that match, in that order; with a vendor, of those that have a job there."""
    rows = database.runs.find(match, {"_id": 1}).sort(list(order.items()))
    if not vendor:
        yield from (row["_id"] for row in rows.limit(limit))
        return
    ids = (row["_id"] for row in rows.batch_size(BATCH))
    while limit > 0 and (batch := list(islice(ids, BATCH))):
        there = set(database.jobs.distinct("runId", {"vendorId": vendor, "runId": {"$in": batch}}))
        chosen = [key for key in batch if key in there][:limit]
        limit -= len(chosen)
        yield from chosen


def _count(database: Database[Document], match: Document, vendor: str) -> int | None:
    """How many runs match, COUNT_MAX + 1 for more; None where that is not known in time, which is no reason to fail."""
    with suppress(ExecutionTimeout, NetworkTimeout), pymongo.timeout(COUNT_S):
        if not match and not vendor:
            return min(database.runs.estimated_document_count(), COUNT_MAX + 1)
        return sum(1 for _ in _ids(database, match, {"_id": DESCENDING}, vendor, COUNT_MAX + 1))
    return None


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
