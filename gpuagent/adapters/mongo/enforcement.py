"""The policy enforced, in the transaction that saves a reservation or a first signature.

A reservation counts itself on the version in force, first in the transaction that writes it: two that would pass a cap
together meet there, and so do a reservation and a change of policy. One of the two starts again, having done nothing
yet; what it then adds up, or is told of a total, has the other in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo import alerts, sums
from gpuagent.adapters.mongo import policy as policies
from gpuagent.adapters.mongo.documents import vendor_from
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.values import Document
from gpuagent.adapters.mongo.wallet_day import WalletDay, added_up, increments
from gpuagent.core.alerts import tag_alerts
from gpuagent.core.model import TIMEOUT_MAX_S, Authorized, Job, Reserved, Run
from gpuagent.core.money import show_usd
from gpuagent.core.policy import Policy, Usage, approval, refusals
from gpuagent.core.terms import record_problem, timeout_max_s
from gpuagent.errors import PolicyRefused

Documents = Database[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Counted:
    """A reservation on the network, counted. rules: the version that it counts against.

    wallet_day: what counts with it against the wallet's cap of a day, at most. day: the sum that says so, None without
    a cap.
    """

    rules: Policy
    network: str
    wallet_day: int
    day: WalletDay | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before a transaction, which spares it reads. All of it may be outdated, and is checked there.

    rules: those that were in force lately, which say what to add up; where others are by now, they do. ahead, unproven:
    as SumsQuery has them. day: the wallet's sum on the job's network, if there is one: it is added up where that says
    nothing, or too much. policy: as count() brought it. record: the vendor's, where that is known. Where these two and
    `day` are all that a new reservation is held against, nothing is read for it.
    """

    ahead: float = 0.0
    rules: Policy | None = None
    unproven: Collection[str] = ()
    day: WalletDay | None = None
    policy: Document | None = None
    record: Document | None = None


def count(database: Documents, session: ClientSession, payer: str, amounts: Mapping[str, int]) -> Document | None:
    """Count a save with that growth() on the policy in force, before anything that it rests on is read.

    The document in force as it is then, with the server's clock in `countedAt`; None where there is none.
    """
    counted = {"$inc": increments(payer, amounts), "$currentDate": {"countedAt": True}}
    return database.policies.find_one_and_update(
        CURRENT, counted, return_document=ReturnDocument.AFTER, session=session
    )


def enforce(
    database: Documents, session: ClientSession, before: Run, after: Run, job: Job, at: float, prior: Prior
) -> Counted | None:
    """Hold a new reservation, or a first signature, against policy and vendor's record as this transaction sees them.

    at: Unix seconds; what it is held against is never later than by the database's clock, as SumsQuery has it.

    Returns what a new reservation was counted against, None for all else. A reservation must have counted itself
    in this transaction. Raises PolicyRefused.
    """
    saved = next((earlier for earlier in before.jobs if earlier.job_id == job.job_id), None)
    match saved, job:
        case (None, Reserved(approval=approved)) | (Reserved(approval=approved), Authorized()):
            rules, counted, most = _counted(database, session, after, job, at, prior)
        case _:
            return None
    usage = counted.usage if most is None else replace(counted.usage, wallet_day=most - job.quote.amount)
    reasons = _reasons(rules, counted, usage, after, job)
    if approved is None and approval(rules, job.quote, counted.at):
        reasons.append(f"{show_usd(job.quote.amount)} needs an approval by now")
    if reasons:
        raise PolicyRefused("; ".join(reasons))
    if saved:
        return None
    alerts.write(database, tag_alerts(rules.tag_totals, usage.tags, after, job.quote), at, session)
    network, day = job.quote.network, prior.day
    if most is None:
        day = None
        if rules.wallet_per_day is not None:
            early = counted.wallet_early + job.quote.amount
            day = added_up(early, counted.policy, network, after.payer, counted.early)
    return Counted(rules, network, usage.wallet_day + job.quote.amount, day)


def _counted(
    database: Documents, session: ClientSession, run: Run, job: Job, at: float, prior: Prior
) -> tuple[Policy, sums.Sums, int | None]:
    """The rules in force, the sums that they cap, and the most that the wallet's day has with the job in it.

    None for the last where the sums have that day, added up.
    """
    day, known, network = prior.day, prior.rules, job.quote.network

    def counted_by(rules: Policy, *, wallet: bool = True) -> sums.Sums:
        own, vendor_ids = ObjectId(job.job_id), [job.quote.vendor_id]
        query = sums.SumsQuery(rules, run, network, vendor_ids, at, prior.ahead, own, prior.unproven, wallet)
        return sums.read(database, query, session)

    counted = None
    if prior.policy and prior.record and isinstance(job, Reserved):
        known = policies.readable(prior.policy)
        counted = sums.unread(prior.policy, prior.record, known, run, at, prior.ahead, wallet=day is None)
    counted = counted or counted_by(known or policies.read(database, session), wallet=day is None)
    rules = policies.readable(counted.policy)
    most = day.most(counted.policy, network, run.payer, counted.at) if day else None
    fits = most is not None and rules.wallet_per_day is not None and most <= rules.wallet_per_day
    if known not in (None, rules) or (day and not fits):
        return rules, counted_by(rules), None
    return rules, counted, most


def _reasons(rules: Policy, counted: sums.Sums, usage: Usage, run: Run, job: Job) -> list[str]:
    """Why the rules or the vendor's record refuse the job."""
    reasons = [refusal.reason for refusal in refusals(rules, run, job.quote, usage, job.job_id)]
    record = counted.records.get(job.quote.vendor_id)
    if record and (problem := record_problem(job.quote, vendor_from(record))):
        reasons.append(problem)
    if record and isinstance(job, Authorized):
        life_s, longest = job.authorization.life_s, timeout_max_s(vendor_from(record), rules.authorization_max_s)
        if life_s > max(longest, TIMEOUT_MAX_S):  # a shorter life is not recorded
            reasons.append(f"its authorization lives {life_s} s, where {longest} are allowed by now")
    return reasons
