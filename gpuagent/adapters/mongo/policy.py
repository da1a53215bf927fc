"""The owner's spending policy in MongoDB, and the sums that count against it.

Every version stays, with who made it and why; one is current. A reservation counts itself on the current version, first
in the transaction that writes it: two that would pass a cap together meet there, and so do a reservation and a change.
One of the two starts again, having done nothing yet; what it then adds up, or is told of a total, has the other in it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bson import Int64, ObjectId
from pymongo import DESCENDING, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo import alerts, sums
from gpuagent.adapters.mongo.documents import vendor_from
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.adapters.mongo.wallet_day import WalletDay, added_up, increments
from gpuagent.core import months
from gpuagent.core.alerts import halt_alert, tag_alerts
from gpuagent.core.model import TIMEOUT_MAX_S, Authorized, Job, Reserved, Run, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.months import MonthBudget
from gpuagent.core.policy import (
    FIRST,
    LIMITS,
    Halt,
    Limit,
    Policy,
    approval,
    check,
    loosenings,
    refusals,
)
from gpuagent.core.rules import RULES, Rule
from gpuagent.core.terms import record_problem, timeout_max_s
from gpuagent.core.zones import UTC_NAME
from gpuagent.errors import BadInput, PolicyRefused

Documents = Database[dict[str, Any]]
REASON_MAX = 500
AGENT = "gpuagent"
"""The author of the versions that no user makes."""


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


def ensure(database: Documents, at: float) -> None:
    """Give a new database the first policy; one with runs has lost its own, and an owner must set it."""
    if database.policies.find_one({}, {"_id": 1}) is None and database.runs.find_one(OURS, {"_id": 1}) is None:
        try:
            database.policies.insert_one(_document(FIRST, AGENT, "the first policy", at))
        except DuplicateKeyError:  # another process was first
            return


def read(database: Documents, session: ClientSession | None = None) -> Policy:
    """The policy in force. Raises PolicyRefused when there is none."""
    return readable(database.policies.find_one(CURRENT, session=session))


def count(database: Documents, session: ClientSession, payer: str, amounts: Mapping[str, int]) -> Document | None:
    """Count a save with that growth() on the policy in force, before anything that it rests on is read.

    The document in force as it is then, with the server's clock in `countedAt`; None where there is none.
    """
    counted = {"$inc": increments(payer, amounts), "$currentDate": {"countedAt": True}}
    return database.policies.find_one_and_update(
        CURRENT, counted, return_document=ReturnDocument.AFTER, session=session
    )


def enforce(
    database: Documents,
    session: ClientSession,
    before: Run,
    after: Run,
    job: Job,
    at: float,
    ahead: float,
    known: Policy | None = None,
    unproven: Collection[str] = (),
    day: WalletDay | None = None,
    policy: Document | None = None,
    record: Document | None = None,
) -> Counted | None:
    """Hold a new reservation, or a first signature, against policy and vendor's record as this transaction sees them.

    at: Unix seconds; what it is held against is never later than by the database's clock, as sums.read() has it.
    known: the rules that were in force lately, which say what to add up; where others are by now, they do. unproven: as
    sums.read() has it. day: the wallet's sum on the job's network, if there is one: it is added up where that says
    nothing, or too much. policy: as count() brought it. record: the vendor's, where that is known. Where these two and
    `day` are all that a new reservation is held against, nothing is read for it.

    Returns what a new reservation was counted against, None for all else. A reservation must have counted itself
    in this transaction. Raises PolicyRefused.
    """
    own, vendor_id, network = ObjectId(job.job_id), job.quote.vendor_id, job.quote.network

    def counted_by(rules: Policy, *, wallet: bool = True) -> sums.Sums:
        read_of = (database, rules, after, network, [vendor_id], at, ahead, own, session)
        return sums.read(*read_of, unproven=unproven, wallet=wallet)

    saved = next((earlier for earlier in before.jobs if earlier.job_id == job.job_id), None)
    match saved, job:
        case (None, Reserved(approval=approved)) | (Reserved(approval=approved), Authorized()):
            counted = None
            if policy and record and not saved:
                known = readable(policy)
                counted = sums.unread(policy, record, known, after, at, ahead, wallet=day is None)
            counted = counted or counted_by(known or read(database, session), wallet=day is None)
            rules = readable(counted.policy)
            most = day.most(counted.policy, network, after.payer, counted.at) if day else None
            fits = most is not None and rules.wallet_per_day is not None and most <= rules.wallet_per_day
            if known not in (None, rules) or (day and not fits):
                counted, most = counted_by(rules), None
        case _:
            return None
    usage = counted.usage if most is None else replace(counted.usage, wallet_day=most - job.quote.amount)
    reasons = [refusal.reason for refusal in refusals(rules, after, job.quote, usage, job.job_id)]
    record = counted.records.get(vendor_id)
    if record and (problem := record_problem(job.quote, vendor_from(record))):
        reasons.append(problem)
    if record and isinstance(job, Authorized):
        life_s, longest = job.authorization.life_s, timeout_max_s(vendor_from(record), rules.authorization_max_s)
        if life_s > max(longest, TIMEOUT_MAX_S):  # a shorter life is not recorded
            reasons.append(f"its authorization lives {life_s} s, where {longest} are allowed by now")
    if approved is None and approval(rules, job.quote, counted.at):
        reasons.append(f"{show_usd(job.quote.amount)} needs an approval by now")
    if reasons:
        raise PolicyRefused("; ".join(reasons))
    if saved:
        return None
    alerts.write(database, tag_alerts(rules.tag_totals, usage.tags, after, job.quote), at, session)
    if most is None:
        day = None
        if rules.wallet_per_day is not None:
            early = counted.wallet_early + job.quote.amount
            day = added_up(early, counted.policy, network, after.payer, counted.early)
    return Counted(rules, network, usage.wallet_day + job.quote.amount, day)


def change(
    database: Documents, session: ClientSession, revise: Callable[[Policy], Policy], by: str, why: str, at: float
) -> Policy:
    """Put a new version in force. Raises BadInput for rules that cannot be, or that allow more without a why."""
    before = _latest(database, session)
    after = check(replace(revise(before), version=before.version + 1))
    if not by.strip():
        raise BadInput("a change of policy names who makes it")
    if not all(text.isprintable() for text in (by, why, *after.tag_totals)):
        raise BadInput("names, tags and reasons are one line each, of characters that can be shown")
    more = loosenings(before, after)
    if more and not why.strip():
        raise BadInput(f"say why the policy is to allow more ({'; '.join(more)})")
    database.policies.update_one(CURRENT, {"$set": {"current": False}}, session=session)
    document = _document(after, by.strip()[:REASON_MAX], why.strip()[:REASON_MAX], at)
    database.policies.insert_one({**document, "raised": list(more)}, session=session)
    halted = {(halt.kind, halt.name) for halt in before.halts}
    new = [halt_alert(halt, after.version) for halt in after.halts if (halt.kind, halt.name) not in halted]
    alerts.write(database, new, at, session)
    return after


def halt_payee(database: Documents, session: ClientSession, vendor: Vendor, why: str, at: float) -> bool:
    """Halt a vendor that names another payee than `vendor`, in the agent's own name. False where nothing is written.

    Two that do so at once meet at the current version: one of them starts again, and sees the other's halt.
    """
    record = database.vendors.find_one({"vendorId": vendor.vendor_id}, session=session)
    if record is None or vendor_from(record).pay_to.lower() != vendor.pay_to.lower():
        return False  # held against a record that is another by now
    if vendor.vendor_id in _latest(database, session).vendor_halts:
        return False
    halt = Halt("vendor", vendor.vendor_id, AGENT, why, at)
    change(database, session, lambda rules: replace(rules, halts=(*rules.halts, halt)), AGENT, why, at)
    return True


def halts(database: Documents) -> tuple[Halt, ...]:
    """The halts in the policy in force, whatever else of it can be read."""
    document = database.policies.find_one(CURRENT, {"halts": 1}) or {"halts": ()}
    return tuple(map(_halt, document["halts"]))


def vendor_halts(database: Documents) -> Mapping[str, Halt]:
    """The halts of single vendors in the policy in force, by their ids, whatever else of it can be read."""
    return Policy(halts=halts(database)).vendor_halts


def versions(database: Documents, limit: int) -> list[Mapping[str, Any]]:
    """Policy documents, newest first."""
    return list(database.policies.find().sort("version", DESCENDING).limit(limit))


def _latest(database: Documents, session: ClientSession) -> Policy:
    document = database.policies.find_one({}, sort=[("version", DESCENDING)], session=session)
    return readable(document) if document else replace(FIRST, version=0)


def readable(document: Mapping[str, Any] | None) -> Policy:
    """The policy of a document. Raises PolicyRefused where there is none, or it cannot be read."""
    if document is None:
        raise PolicyRefused("there is no policy in force: `gpuagent policy set --by WHO --why WHY` makes one")
    try:
        return _policy(document)
    except (BadInput, KeyError, TypeError, AttributeError) as error:
        raise PolicyRefused(f"the policy in the database cannot be read ({type(error).__name__}: {error})") from error


def _policy(document: Mapping[str, Any]) -> Policy:
    limits: dict[str, Any] = {limit.name: _amount(document, limit) for limit in LIMITS}
    return Policy(
        version=document["version"],
        tag_totals={entry["tag"]: amount(entry["total"]) for entry in document["tagTotals"]},
        approval_s=document["approvalSeconds"],
        halts=tuple(map(_halt, document["halts"])),
        **limits,
        **_months(document),
        # Policies that were recorded before there were files lack these, and have the usual ones.
        **{rule.name: _rule(document[rule.key], rule) for rule in RULES if rule.key in document},
    )


def _amount(document: Mapping[str, Any], limit: Limit) -> int | None:
    """The limit's amount, None for none. Raises KeyError where one is missing that is not optional."""
    if limit.optional and limit.key not in document:
        return limit.of(Policy())
    value = document[limit.key]
    return None if value is None else amount(value)


def _document(policy: Policy, by: str, why: str, at: float) -> Document:
    amounts = {limit.key: limit.of(policy) for limit in LIMITS}
    return {
        "version": policy.version,
        "current": True,
        **{key: None if cap is None else money(cap) for key, cap in amounts.items()},
        "tagTotals": [{"tag": tag, "total": money(total)} for tag, total in policy.tag_totals.items()],
        "monthBudgets": [
            {"kind": budget.kind, "name": budget.name, "amount": money(budget.amount)}
            for budget in policy.month_budgets
        ],
        "monthZone": policy.month_zone,
        "approvalSeconds": policy.approval_s,
        "halts": [_halt_document(halt) for halt in policy.halts],
        **{rule.key: _integer(rule.of(policy)) for rule in RULES},
        "reservations": 0,
        "by": by,
        "why": why,
        "at": date(at),
        "raised": [],
    }


def _months(document: Mapping[str, Any]) -> dict[str, Any]:
    """The budgets over months, none in an older record. Raises BadInput for those that cannot be meant."""
    budgets = tuple(
        MonthBudget(entry["kind"], entry["name"], amount(entry["amount"])) for entry in document.get("monthBudgets", ())
    )
    zone = document.get("monthZone", UTC_NAME)
    if problem := months.problem(budgets, zone):
        raise BadInput(problem)
    return {"month_budgets": budgets, "month_zone": zone}


def _halt(entry: Mapping[str, Any]) -> Halt:
    at = seconds(entry["at"]) if "at" in entry else 0.0  # an older record has none
    return Halt(entry["kind"], entry["name"], entry["by"], entry["why"], at)


def _halt_document(halt: Halt) -> Document:
    at = {"at": date(halt.at)} if halt.at else {}
    return {"kind": halt.kind, "name": halt.name, "by": halt.by, "why": halt.why, **at}


def _rule(value: Any, rule: Rule) -> Any:
    """Raises BadInput for what cannot be meant."""
    if problem := rule.problem(value):
        raise BadInput(problem)
    return value


def _integer(value: int | str | None) -> Int64 | str | None:
    return Int64(value) if isinstance(value, int) else value
