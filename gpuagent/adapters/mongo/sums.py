"""The sums that count against the caps of a policy, in one read, with the server's clock and the vendors' records."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo import months
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.core.model import Run
from gpuagent.core.months import of_run
from gpuagent.core.policy import DAY_S, PROVEN_AFTER, Policy, Usage
from gpuagent.errors import PolicyRefused

SLACK_S = 300.0
"""How far the database's clock may be behind for one read to do: twice as much as clocks may differ in a purchase."""
MS = 1_000
CURRENT = {"current": True}
"""Matches the policy in force."""
Stages = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Sums:
    """usage: as the policy caps it. at: where its day ends, Unix seconds. records: documents of vendors, by id.

    policy: the document in force. past: what past_jobs.pipeline() brings, where that was asked for. wallet_early: what
    counts of the wallet's day that ends at `early`, which is before that.
    """

    usage: Usage
    wallet_early: int
    early: float
    at: float
    records: Mapping[str, Document]
    policy: Document
    past: Sequence[Document]


@dataclass(frozen=True, slots=True)
class SumsQuery:
    """Which sums to read: those that `rules` cap for this run and these vendors, over all runs on the network.

    at: where a day ends, Unix seconds, but never later than by the database's clock, which is taken to be `ahead`
    seconds ahead. job_id: a job that is left out, as it is the one to be judged. unproven: vendors whose records said
    lately that they are not proven; where a record says so of another, all is read again with what counts against a
    new vendor. wallet: whether the wallet's day is added up; else it is 0. past: past_jobs.pipeline(), to be read too.
    """

    rules: Policy
    run: Run
    network: str
    vendor_ids: Sequence[str]
    at: float
    ahead: float = 0.0
    job_id: ObjectId | None = None
    unproven: Collection[str] = ()
    wallet: bool = True
    past: Stages | None = None

    @property
    def counts_new(self) -> bool:
        """Whether what counts against a new vendor is read."""
        return self.rules.new_vendor is not None and not set(self.unproven).isdisjoint(self.vendor_ids)

    @property
    def server_now(self) -> Document:
        """The expression for the database's clock."""
        return {"$add": ["$$NOW", round(self.ahead * MS)]}


def read(database: Database[dict[str, Any]], query: SumsQuery, session: ClientSession | None = None) -> Sums:
    """The sums, in one read. Raises PolicyRefused where no policy is in force."""
    lookups = [
        {"$lookup": {"from": collection, "pipeline": stages, "as": f"sums.{name}"}}
        for name, (collection, stages) in _lookups(query).items()
    ]
    pipeline: Stages = [{"$match": CURRENT}, {"$set": {"now": "$$NOW"}}, *lookups]
    document = next(iter(database.policies.aggregate(pipeline, session=session)), None)
    if document is None:
        raise PolicyRefused("there is no policy in force any more: try again")
    at, now = query.at, round(seconds(document["now"]) + query.ahead, 3)
    if now < at - SLACK_S:
        return read(database, replace(query, at=now), session)
    groups = document.pop("sums")
    records: dict[str, Document] = {record["vendorId"]: record for record in groups["records"]}
    unproven = [name for name, record in records.items() if record.get("proven") is False]
    if unproven and query.rules.new_vendor is not None and not query.counts_new:
        return read(database, replace(query, unproven=unproven), session)
    wallet_early = sum(amount(group["early"]) for group in groups.get("wallet", ()))
    usage = _usage(query.run, groups, records)
    return Sums(usage, wallet_early, at - SLACK_S, min(at, now), records, document, groups.get("past", ()))


def _usage(run: Run, groups: Mapping[str, Any], records: Mapping[str, Document]) -> Usage:
    sums = {
        name: {group["_id"]: amount(group["total"]) for group in groups.get(name, ())}
        for name in ("wallet", "vendor", "tags", *months.NAMES.values())
    }
    return Usage(
        sums["wallet"].get(run.payer, 0),
        sums["vendor"],
        sums["tags"],
        {name: _held_or_paid(record) for name, record in records.items() if _is_new(record)},
        months.by_key(sums),
    )


def _lookups(query: SumsQuery) -> dict[str, tuple[str, Stages]]:
    """Collection and pipeline of each sum that the rules cap, and of the vendors' records. No $unionWith: a transaction
    may not use it."""
    on_network: Document = {"quote.network": query.network}
    # As an expression, for which no index is chosen: by _id all jobs that there ever were are others.
    is_other = {"$ne": ["$_id", query.job_id]}
    others: Document = {**on_network, "$expr": is_other}
    ever = {"state": {"$in": [*HELD, "settled"]}}
    records_of: Stages = [{"$match": {"vendorId": {"$in": list(query.vendor_ids)}}}]
    more = _new(query.network, ever, others) if query.counts_new else []
    lookups = {"records": ("vendors", records_of + more)}
    if query.past is not None:
        lookups["past"] = ("vendors", query.past)
    lookups |= _day_lookups(query, {**ever, **on_network}, is_other)
    if tags := [tag for tag in query.run.tags if tag in query.rules.tag_totals]:
        tagged = {"$match": {"tags": {"$in": tags}, **ever, **others}}
        add = {"$group": {"_id": "$tags", "total": {"$sum": "$expectedCost"}}}
        # Of the several tags of a run, those that are wanted.
        lookups["tags"] = ("jobs", [tagged, {"$unwind": "$tags"}, tagged, add])
    if query.rules.month_budgets:
        lookups |= months.lookups(query.rules, query.run, query.at, query.server_now, SLACK_S, others)
    return lookups


def _day_lookups(query: SumsQuery, counted: Document, is_other: Document) -> dict[str, tuple[str, Stages]]:
    """The sums of the last 24 hours that are capped: of the run's wallet, and of each vendor."""
    day_from = date(query.at - DAY_S)
    by_server = {"$subtract": [query.server_now, round(DAY_S * MS)]}
    counts_today = {"$or": [{"$ne": ["$state", "settled"]}, {"$gte": ["$settledAt", {"$min": [day_from, by_server]}]}]}
    today = {"$cond": [{"$and": [is_other, counts_today]}, "$expectedCost", money(0)]}
    early = {"$cond": [is_other, "$expectedCost", money(0)]}

    def day(by: str, names: Sequence[str], **totals: Document) -> Stages:
        matched = {"$match": {by: {"$in": list(names)}, **counted, **_since(query)}}
        return [matched, {"$group": {"_id": f"${by}", "total": {"$sum": today}, **totals}}]

    lookups = {}
    if query.rules.wallet_per_day is not None and query.wallet:
        lookups["wallet"] = ("jobs", day("payer", [query.run.payer], early={"$sum": early}))
    if query.rules.vendor_per_day is not None:
        lookups["vendor"] = ("jobs", day("vendorId", query.vendor_ids))
    return lookups


def _since(query: SumsQuery) -> Document:
    """Matches what may count in the day, by a time that the query can look up in an index; what is held has none.

    It is counted exactly then, by the earlier of the two clocks. The index has all that this needs: no job is read.
    """
    return {"settledAt": {"$not": {"$lt": date(query.at - DAY_S - SLACK_S)}}}


def unread(
    policy: Document, record: Document, rules: Policy, run: Run, at: float, ahead: float, wallet: bool
) -> Sums | None:
    """What read() brings for one vendor, where nothing has to be added up for it; None where a sum has.

    policy: the document in force as policy.count() brought it, of these rules. record: the vendor's. The rest as
    SumsQuery has it.
    """
    now = round(seconds(policy["countedAt"]) + ahead, 3)
    caps_wallet = wallet and rules.wallet_per_day is not None
    if caps_wallet or caps_more(rules, run, is_unproven=record.get("proven") is False):
        return None
    return Sums(Usage(), 0, at - SLACK_S, min(at, now), {record["vendorId"]: record}, policy, ())


def caps_more(rules: Policy, run: Run, is_unproven: bool) -> bool:
    """Whether these rules cap more sums of the run than its wallet's day. is_unproven: a vendor that is meant."""
    return bool(
        rules.vendor_per_day is not None
        or not rules.tag_totals.keys().isdisjoint(run.tags)
        or of_run(rules.month_budgets, run.user_id, run.tags)
        or (rules.new_vendor is not None and is_unproven)
    )


def _new(network: str, ever: Document, others: Document) -> Stages:
    """To records of vendors, of those that say they are not proven, what counts against a new vendor."""
    # Practice money proves nothing: a job that costs none is soon completed.
    completed: Document = {"quote.network": network, "state": "settled", "status": "completed"}
    counted: Stages = [{"$match": completed}, {"$limit": PROVEN_AFTER}, {"$project": {"_id": 1}}]
    summed: Stages = [
        {"$match": {**ever, **others}},
        {"$group": {"_id": None, "total": {"$sum": "$expectedCost"}}},
    ]

    def jobs(pipeline: Stages, name: str) -> Mapping[str, Any]:
        keys = {"localField": "unproven", "foreignField": "vendorId"}
        return {"$lookup": {"from": "jobs", **keys, "pipeline": pipeline, "as": name}}

    return [
        # No job is of the vendor null: those of a proven one are not looked for.
        {"$set": {"unproven": {"$cond": [{"$eq": ["$proven", False]}, "$vendorId", None]}}},
        jobs(counted, "paidJobs"),
        jobs(summed, "heldOrPaid"),
    ]


def _is_new(record: Document) -> bool:
    return record.get("unproven") is not None and len(record["paidJobs"]) < PROVEN_AFTER


def _held_or_paid(record: Document) -> int:
    return sum(amount(group["total"]) for group in record["heldOrPaid"])
