"""The sums that count against the caps of a policy, in one read, with the server's clock and the vendors' records."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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


def read(
    database: Database[dict[str, Any]],
    rules: Policy,
    run: Run,
    network: str,
    vendor_ids: Sequence[str],
    at: float,
    ahead: float = 0.0,
    job_id: ObjectId | None = None,
    session: ClientSession | None = None,
    past: Stages | None = None,
    unproven: Collection[str] = (),
    wallet: bool = True,
) -> Sums:
    """The sums of all runs in this database that pay on this network, without the job itself, by these rules.

    past: past_jobs.pipeline(), to be read too. unproven: vendors whose records said lately that they are not proven;
    where a record says so of another, all is read again with what counts against a new vendor. wallet: whether the
    wallet's day is added up; else it is 0.
    at: where a day ends, but never later than by the database's clock, which is taken to be `ahead` seconds ahead.
    Raises PolicyRefused where no policy is in force.
    """
    day_from = date(at - DAY_S)
    by_server = {"$subtract": [{"$add": ["$$NOW", round(ahead * MS)]}, round(DAY_S * MS)]}
    counts_today = {"$or": [{"$ne": ["$state", "settled"]}, {"$gte": ["$settledAt", {"$min": [day_from, by_server]}]}]}
    on_network: Document = {"quote.network": network}
    # As an expression, for which no index is chosen: by _id all jobs that there ever were are others.
    is_other = {"$ne": ["$_id", job_id]}
    others: Document = {**on_network, "$expr": is_other}
    ever = {"state": {"$in": [*HELD, "settled"]}}
    # By a time that the query can look up in an index, and what is held has none; then exactly, by the earlier of the
    # two clocks. The index has all that this needs: no job is read.
    since = {**ever, "settledAt": {"$not": {"$lt": date(at - DAY_S - SLACK_S)}}, **on_network}
    today = {"$cond": [{"$and": [is_other, counts_today]}, "$expectedCost", money(0)]}
    early = {"$cond": [is_other, "$expectedCost", money(0)]}

    def day(by: str, names: Sequence[str], **totals: Document) -> Stages:
        counted = {"$match": {by: {"$in": list(names)}, **since}}
        return [counted, {"$group": {"_id": f"${by}", "total": {"$sum": today}, **totals}}]

    tags = [tag for tag in run.tags if tag in rules.tag_totals]
    # Not $unionWith, which no transaction may use.
    counts_new = rules.new_vendor is not None and not set(unproven).isdisjoint(vendor_ids)
    records_of: Stages = [{"$match": {"vendorId": {"$in": list(vendor_ids)}}}]
    lookups = {"records": ("vendors", records_of + (_new(network, ever, others) if counts_new else []))}
    if past is not None:
        lookups["past"] = ("vendors", past)
    if rules.wallet_per_day is not None and wallet:
        lookups["wallet"] = ("jobs", day("payer", [run.payer], early={"$sum": early}))
    if rules.vendor_per_day is not None:
        lookups["vendor"] = ("jobs", day("vendorId", vendor_ids))
    if tags:
        wanted = {"$match": {"tags": {"$in": tags}, **ever, **others}}
        add = {"$group": {"_id": "$tags", "total": {"$sum": "$expectedCost"}}}
        # Of the several tags of a run, those that are wanted.
        lookups["tags"] = ("jobs", [wanted, {"$unwind": "$tags"}, wanted, add])
    if rules.month_budgets:
        by_server_now = {"$add": ["$$NOW", round(ahead * MS)]}
        lookups |= months.lookups(rules, run, at, by_server_now, SLACK_S, others)
    pipeline: Stages = [
        {"$match": CURRENT},
        {"$set": {"now": "$$NOW"}},
        *(
            {"$lookup": {"from": collection, "pipeline": stages, "as": f"sums.{name}"}}
            for name, (collection, stages) in lookups.items()
        ),
    ]
    document = next(iter(database.policies.aggregate(pipeline, session=session)), None)
    if document is None:
        raise PolicyRefused("there is no policy in force any more: try again")
    now = round(seconds(document["now"]) + ahead, 3)
    if now < at - SLACK_S:
        return read(database, rules, run, network, vendor_ids, now, ahead, job_id, session, past, unproven, wallet)
    read_there = document.pop("sums")
    sums = {
        name: {group["_id"]: amount(group["total"]) for group in read_there.get(name, ())}
        for name in ("wallet", "vendor", "tags", *months.NAMES.values())
    }
    records: dict[str, Document] = {record["vendorId"]: record for record in read_there["records"]}
    unproven = [name for name, record in records.items() if record.get("proven") is False]
    if unproven and rules.new_vendor is not None and not counts_new:
        return read(database, rules, run, network, vendor_ids, at, ahead, job_id, session, past, unproven, wallet)
    usage = Usage(
        sums["wallet"].get(run.payer, 0),
        sums["vendor"],
        sums["tags"],
        {name: _held_or_paid(record) for name, record in records.items() if _is_new(record)},
        months.by_key(sums),
    )
    wallet_early = sum(amount(group["early"]) for group in read_there.get("wallet", ()))
    return Sums(usage, wallet_early, at - SLACK_S, min(at, now), records, document, read_there.get("past", ()))


def unread(
    policy: Document, record: Document, rules: Policy, run: Run, at: float, ahead: float, wallet: bool
) -> Sums | None:
    """What read() brings for one vendor, where nothing has to be added up for it; None where a sum has.

    policy: the document in force as policy.count() brought it, of these rules. record: the vendor's. wallet: as read()
    has it.
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
