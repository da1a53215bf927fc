"""A made-up history with everything that a report counts in a way of its own: seeded, as raw documents.

Beside what big_history.py writes: transfers that came back, credits, jobs that cost less in the end, jobs that are paid
after the work and not yet, that fell through, that went on from a checkpoint, runs that go on, planners assigned at
random, blocks of before the signature, payments without a job, jobs that contradict their payment, and odd tags.
"""

import random
from datetime import timedelta
from typing import Any

from bson import Decimal128, ObjectId

from tests.support import big_history

ODD_TAGS = ["no tag", "others", "vision", "others"]
"""Called like what a report names itself, and one of them twice."""
REASONS = ("price 1.23 was raised", "node 10.0.0.1 is gone", "")


def write(database: Any, count: int, seed: int) -> None:
    big_history.write(database, count, seed)
    dice = random.Random(seed)
    for job in list(database.jobs.find().sort("_id")):
        change = dice.choice(
            (_came_back, _cost_less, _unpaid, _void, _resumed, _late_block, _protocol, *[_nothing] * 6)
        )
        change(database, job, dice)
    for run in list(database.runs.find().sort("_id")):
        fields: dict[str, Any] = {}
        if dice.random() < 0.15:
            arms = [{"planner": "stub", "weight": 1}, {"planner": "llm", "weight": 1}]
            fields |= {"plannerArms": arms, "planner": dice.choice(("stub", "llm"))}
        if dice.random() < 0.1:
            fields["status"] = dice.choice(("running", "failed"))
        if fields:
            _change(database.runs, {"_id": run["_id"]}, {"$set": fields})
    for run in list(database.runs.find().sort("_id"))[::17]:
        for collection, key in ((database.runs, "_id"), (database.jobs, "runId")):
            collection.update_many({key: run["_id"]}, {"$set": {"tags": ODD_TAGS}}, bypass_document_validation=True)
    for job in list(database.jobs.find().sort("_id"))[::5]:
        _change(database.jobs, {"_id": job["_id"]}, {"$set": {"hedges": ObjectId(job["_id"].binary[::-1])}})
    strays = list(database.payments.find({"status": "completed"}).sort("_id").limit(200))
    gone, torn = strays[dice.randrange(20)], strays[30 + dice.randrange(20)]
    database.jobs.delete_one({"_id": gone["jobId"]})
    _change(database.payments, {"_id": torn["_id"]}, {"$set": {"status": "failed"}})


def _change(collection: Any, which: dict[str, Any], change: dict[str, Any]) -> None:
    """Past the validators, for some of it no step of a run may write."""
    collection.update_one(which, change, bypass_document_validation=True)


def _nothing(database: Any, job: Any, dice: random.Random) -> None:
    pass


def _came_back(database: Any, job: Any, dice: random.Random) -> None:
    refunded = Decimal128(str(dice.randrange(1, 90)) + "e-2")
    _change(database.payments, {"jobId": job["_id"]}, {"$set": {"refunded": refunded, "credit": Decimal128("0.95")}})
    database.refunds.insert_one(refund(job, refunded, dice.randrange(2**40)), bypass_document_validation=True)


def refund(job: Any, amount: Decimal128, place: int) -> dict[str, Any]:
    """The record of a transfer that came back for the job."""
    key = {"network": job["quote"]["network"], "asset": "0x0", "transaction": f"0x{place:064x}", "logIndex": 0}
    return {**key, "runId": job["runId"], "jobId": job["_id"], "amount": amount, "vendorId": job["vendorId"]}


def _cost_less(database: Any, job: Any, dice: random.Random) -> None:
    cost = Decimal128(str(dice.randrange(10, 100)) + "e-2")
    _change(database.jobs, {"_id": job["_id"]}, {"$set": {"actualCost": cost}})


def _unpaid(database: Any, job: Any, dice: random.Random) -> None:
    status = dice.choice(("running", "completed", "failed"))
    fields = {"state": "authorized", "status": status, "actualCost": Decimal128("0"), "startedAt": job["createdAt"]}
    _change(database.jobs, {"_id": job["_id"]}, {"$set": fields, "$unset": {"settledAt": ""}})
    _change(database.payments, {"jobId": job["_id"]}, {"$set": {"status": "pending"}, "$unset": {"settledAt": ""}})


def _void(database: Any, job: Any, dice: random.Random) -> None:
    fields = {"state": "voided", "status": "failed", "cause": "vendor", "actualCost": Decimal128("0")}
    fields["errorMessage"] = dice.choice(REASONS)
    _change(database.jobs, {"_id": job["_id"]}, {"$set": fields, "$unset": {"settledAt": ""}})
    database.payments.delete_one({"jobId": job["_id"]})


def _resumed(database: Any, job: Any, dice: random.Random) -> None:
    hours = dice.randrange(1, 400) / 100
    fields = {"jobParams.maxHours": hours, "hoursSaved": dice.randrange(1, 100) / 100}
    fields["resumedFrom"] = {"jobId": ObjectId(job["_id"].binary[::-1]), "sha256": "f" * 64, "fraction": 0.5}
    _change(database.jobs, {"_id": job["_id"]}, {"$set": fields})


def _late_block(database: Any, job: Any, dice: random.Random) -> None:
    """A block whose time is just before the signature's: a purchase counts from then on."""
    signed_at = job["settledAt"] + timedelta(milliseconds=dice.randrange(1, 999))
    _change(database.payments, {"jobId": job["_id"]}, {"$set": {"createdAt": signed_at}})


def _protocol(database: Any, job: Any, dice: random.Random) -> None:
    _change(database.jobs, {"_id": job["_id"]}, {"$set": {"quote.protocol": dice.choice(("prism", "hypercli"))}})
