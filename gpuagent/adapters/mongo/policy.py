"""The owner's spending policy in MongoDB. Every version stays, with who made it and why; one is in force.

Reservations are held against it in enforcement.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bson import Int64
from pymongo import DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo import alerts
from gpuagent.adapters.mongo.documents import vendor_from
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.schema import VERSION
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.core import months
from gpuagent.core.alerts import halt_alert
from gpuagent.core.model import Vendor
from gpuagent.core.months import MonthBudget
from gpuagent.core.policy import (
    FIRST,
    LIMITS,
    Halt,
    Limit,
    Policy,
    check,
    loosenings,
)
from gpuagent.core.rules import RULES, Rule
from gpuagent.core.zones import UTC_NAME
from gpuagent.errors import BadInput, PolicyRefused

Documents = Database[dict[str, Any]]
REASON_MAX = 500
AGENT = "gpuagent"
"""The author of the versions that no user makes."""


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


def change(
    database: Documents, session: ClientSession, revise: Callable[[Policy], Policy], by: str, why: str, at: float
) -> Policy:
    """Put a new version in force. Raises BadInput for rules that cannot be, or that allow more without a why."""
    before = _latest(database, session)
    after = check(replace(revise(before), version=before.version + 1))
    if not by.strip():
        raise BadInput("say who changes the policy: a change without a name is not recorded")
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
    """The policy of a document. Raises PolicyRefused where there is none, or it cannot be read, or not all of it."""
    if document is None:
        raise PolicyRefused("there is no policy in force: `gpuagent policy set --by WHO --why WHY` makes one")
    if document.get("schema", 0) > VERSION:  # written since this program opened the database
        raise PolicyRefused(
            "the policy in force was written by a newer gpuagent, and may have limits that this one does not know: "
            "pip install --upgrade gpuagent, and start it anew"
        )
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
        "schema": VERSION,
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
