"""The sums that count against monthly budgets: for a purchase, beside those of sums.py, and for users."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.values import Document, date, money
from gpuagent.core.model import Run
from gpuagent.core.money import amount
from gpuagent.core.months import TAG, USER, BudgetKey, MonthSum, month_start, of_run
from gpuagent.core.policy import Policy

Stages = list[Mapping[str, Any]]
NAMES = {TAG: "tagMonths", USER: "userMonths"}
"""What lookups() calls the sums of each kind."""


def lookups(
    rules: Policy, run: Run, at: float, now: Any, slack_s: float, filters: Document
) -> Mapping[str, tuple[str, Stages]]:
    """Lookups of the sums of a run's budgets, by their NAMES. filters: what matches the jobs that count.

    at, now: the month is that of the earlier of this time, Unix seconds, and this expression for the database's clock,
    which is never more than slack_s behind.
    """
    budgets = of_run(rules.month_budgets, run.user_id, run.tags)
    start, early = month_start(at, rules.month_zone), month_start(at - slack_s, rules.month_zone)
    since: Any = date(start)
    if early < start:  # a new month has just begun by the one clock: by the other the old one may still be
        since = {"$cond": [{"$lt": [now, date(start)]}, date(early), date(start)]}
    counts = {"$or": [{"$ne": ["$state", "settled"]}, {"$gte": ["$settledAt", since]}]}
    cost = {"$cond": [counts, "$expectedCost", money(0)]}
    return {
        NAMES[kind]: ("jobs", _stages(kind, names, early, filters, {"total": {"$sum": cost}}))
        for kind in (TAG, USER)
        if (names := [budget.name for budget in budgets if budget.kind == kind])
    }


def by_key(sums: Mapping[str, Mapping[str, int]]) -> dict[BudgetKey, int]:
    """The sums of lookups(), each by tag or user under its name of NAMES, by the key of their budget."""
    return {(kind, name): total for kind in (TAG, USER) for name, total in sums[NAMES[kind]].items()}


def month_sums(database: Database[Document], rules: Policy, network: str, at: float) -> dict[BudgetKey, MonthSum]:
    """What each budget's runs on this network have settled in the month of this time, and what they hold."""
    since, sums = month_start(at, rules.month_zone), {}
    settled = {"$cond": [{"$eq": ["$state", "settled"]}, "$expectedCost", money(0)]}
    holds = {"$cond": [{"$eq": ["$state", "settled"]}, money(0), "$expectedCost"]}
    totals = {"settled": {"$sum": settled}, "held": {"$sum": holds}}
    for kind in (TAG, USER):
        names = [budget.name for budget in rules.month_budgets if budget.kind == kind]
        stages = _stages(kind, names, since, {"quote.network": network}, totals)
        for group in database.jobs.aggregate(stages) if names else ():
            sums[kind, group["_id"]] = MonthSum(amount(group["settled"]), amount(group["held"]))
    return sums


def _stages(kind: str, names: Sequence[str], since: float, filters: Document, totals: Document) -> Stages:
    """The sums of the jobs of these tags or users that hold something, or settled since then."""
    alive = {"$or": [{"state": {"$in": HELD}}, {"state": "settled", "settledAt": {"$gte": date(since)}}]}
    if kind == TAG:
        chosen = {"tags": {"$in": list(names)}}
        return [
            {"$match": {**chosen, **alive, **filters}},
            {"$unwind": "$tags"},  # of the several tags of a run, those that are chosen
            {"$match": chosen},
            {"$group": {"_id": "$tags", **totals}},
        ]
    return [
        {"$match": {"userId": {"$in": [*names, None]}, **alive, **filters}},
        # An older record does not say whose run it is of: that is looked up. No run has the id null.
        {"$set": {"unsaid": {"$cond": [{"$eq": [{"$type": "$userId"}, "missing"]}, "$runId", None]}}},
        {"$lookup": {"from": "runs", "localField": "unsaid", "foreignField": "_id", "as": "runs"}},
        {"$set": {"user": {"$ifNull": ["$userId", {"$first": "$runs.userId"}]}}},
        {"$match": {"user": {"$in": list(names)}}},
        {"$group": {"_id": "$user", **totals}},
    ]
