"""Refunds and credits in MongoDB: records of their own beside the payments, written once and never changed.

A payment keeps their sums: refunded, which the database holds at or below its amount, and credit.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.payments import authorization_from
from gpuagent.adapters.mongo.values import Document, date, money
from gpuagent.core.credits import Credit, CreditKind, outstanding
from gpuagent.core.model import Observation, Token
from gpuagent.core.money import amount
from gpuagent.core.records import Incoming, Payment, PaymentStatus, Refund
from gpuagent.core.refunds import credit_observation, refund_observation
from gpuagent.errors import BadInput, Refused

FIRST_ATTEMPT = {"attempt": 0}
PAYMENT_OF: list[Mapping[str, Any]] = [
    {
        "$lookup": {
            "from": "payments",
            "localField": "jobId",
            "foreignField": "jobId",
            "pipeline": [{"$match": FIRST_ATTEMPT}],
            "as": "payment",
        }
    },
    {"$unwind": "$payment"},
]


def book_credit(connection: Connection, credit: Credit, at: float) -> bool:
    """Books a vendor's word with an observation; False where there was one of the job and kind."""
    job = {"jobId": ObjectId(credit.job_id)}
    document = {
        "vendorId": credit.vendor_id,
        "runId": ObjectId(credit.run_id),
        **job,
        "wallet": credit.wallet,
        "kind": credit.kind.value,
        "amount": money(credit.amount),
        "claimed": credit.claimed,
        "transaction": credit.transaction,
        "note": credit.note,
        "createdAt": date(at),
    }

    def write(session: ClientSession) -> None:
        connection.database.credits.insert_one({**document}, session=session)
        if credit.counted:
            highest = {"$max": {"credit": money(credit.counted)}}  # the same money, said again of another kind
            connection.database.payments.update_one(job | FIRST_ATTEMPT, highest, session=session)
        _observe(connection.database, session, credit.run_id, credit_observation(credit), at)

    return _once(connection, write)


def book_refund(connection: Connection, refund: Refund, at: float) -> bool:
    """Books a transfer for a job with an observation; False where the transfer is booked. Raises Refused."""
    transfer = refund.transfer
    document = {
        "network": refund.network,
        "asset": refund.asset.lower(),
        "transaction": transfer.transaction.lower(),
        "logIndex": transfer.log_index,
        "blockNumber": transfer.block_number,
        "sender": transfer.sender,
        "wallet": transfer.wallet,
        "amount": money(transfer.amount),
        "vendorId": refund.vendor_id,
        "runId": ObjectId(refund.run_id),
        "jobId": ObjectId(refund.job_id),
        "by": refund.by,
        "why": refund.why,
        "createdAt": date(at),
    }

    def write(session: ClientSession) -> None:
        connection.database.refunds.insert_one({**document}, session=session)
        _add_to_payment(connection.database, session, refund)
        _observe(connection.database, session, refund.run_id, refund_observation(refund), at)

    return _once(connection, write)


def _add_to_payment(database: Database[Document], session: ClientSession, refund: Refund) -> None:
    """Add the refund to the sum in the payment that it is of. Raises Refused unless there is one that it fits."""
    transfer, returned = refund.transfer, money(refund.transfer.amount)
    counted = database.payments.update_one(
        {
            "jobId": ObjectId(refund.job_id),
            **FIRST_ATTEMPT,
            "vendorId": refund.vendor_id,
            "network": refund.network,
            "status": PaymentStatus.COMPLETED.value,
            "$expr": {
                "$and": [
                    {"$eq": [{"$toLower": "$payer"}, transfer.wallet]},
                    {"$eq": [{"$toLower": "$asset"}, refund.asset.lower()]},
                    {"$lte": [{"$add": [{"$ifNull": ["$refunded", 0]}, returned]}, "$amount"]},
                ]
            },
        },
        {"$inc": {"refunded": returned}},
        session=session,
    )
    if not counted.matched_count:
        raise Refused(
            f"{transfer} is not booked for job {refund.job_id}: it was not paid from that wallet in that token, or "
            "more would have come back than was paid. The transfer stays a line of its own"
        )


def _once(connection: Connection, write: Callable[[ClientSession], None]) -> bool:
    try:
        connection.transaction(write)
    except DuplicateKeyError:
        return False
    return True


def _observe(
    database: Database[Document], session: ClientSession, run_id: str, observation: Observation, at: float
) -> None:
    run = database.runs.find_one({"_id": ObjectId(run_id)}, {"version": 1}, session=session)
    database.observations.insert_one(
        {
            "runId": ObjectId(run_id),
            "type": observation.type.value,
            "content": observation.content,
            "data": dict(observation.data),
            "tick": run["version"] if run else 0,
            "timestamp": date(at),
            "jobId": ObjectId(observation.job_id),
        },
        session=session,
    )


# As a sweep reads them.


def refunds(database: Database[Document], wallet: str, token: Token) -> Iterator[Refund]:
    match = {"wallet": wallet.lower(), "network": token.network, "asset": token.address.lower()}
    for document in database.refunds.find(match).sort("_id"):
        yield _refund_from(document)


def claims(database: Database[Document], payer: str, token: Token) -> Iterator[tuple[Credit, Payment]]:
    for document in database.credits.aggregate([{"$match": {"wallet": payer}}, *PAYMENT_OF]):
        payment = payment_from(document["payment"])
        terms = payment.authorization
        if (terms.network, terms.asset.lower()) == (token.network, token.address.lower()):
            yield _credit_from(document), payment


def senders(database: Database[Document], payer: str, token: Token) -> frozenset[str]:
    paid = database.payments.distinct("payee", {"payer": payer, "network": token.network})
    booked = database.refunds.distinct("sender", {"wallet": payer.lower(), "network": token.network})
    return frozenset(address.lower() for address in (*paid, *booked, *addresses(database).values()))


def addresses(database: Database[Document]) -> dict[str, str]:
    records = database.vendors.find({"refundAddress": {"$gt": ""}}, {"vendorId": 1, "refundAddress": 1})
    return {record["vendorId"]: record["refundAddress"].lower() for record in records}


def payment_of(database: Database[Document], job_id: str) -> Payment:
    try:
        key = {"jobId": ObjectId(job_id), **FIRST_ATTEMPT}
    except (InvalidId, TypeError):
        raise BadInput(f"{job_id[:40]!r} is not a job's id: `gpuagent run status RUN_ID --json` has them") from None
    document = database.payments.find_one(key)
    if document is None:
        raise BadInput(f"nothing was ever signed for job {job_id}: there is nothing that could come back")
    return payment_from(document)


def credit_by_vendor(database: Database[Document]) -> dict[str, int]:
    """What is left of each vendor's credits, as far as their jobs were paid."""
    sums: dict[str, int] = {}
    jobs = {"$group": {"_id": "$jobId", "jobId": {"$first": "$jobId"}}}
    for document in database.credits.aggregate([jobs, *PAYMENT_OF]):
        payment = document["payment"]
        if payment["status"] != PaymentStatus.COMPLETED.value or "credit" not in payment:
            continue
        if credit := outstanding(amount(payment["credit"]), refunded_of(payment)):
            sums[payment["vendorId"]] = sums.get(payment["vendorId"], 0) + credit
    return sums


def refunded_of(payment: Mapping[str, Any]) -> int:
    return amount(payment["refunded"]) if "refunded" in payment else 0


def payment_from(document: Mapping[str, Any]) -> Payment:
    return Payment(
        run_id=str(document["runId"]),
        job_id=str(document["jobId"]),
        vendor_id=document["vendorId"],
        status=PaymentStatus(document["status"]),
        authorization=authorization_from(dict(document)),
        transaction=document.get("x402TxId", ""),
        block_number=document.get("blockNumber", 0),
        refunded=refunded_of(document),
        credit=amount(document["credit"]) if "credit" in document else 0,
    )


def _refund_from(document: Document) -> Refund:
    transfer = Incoming(
        transaction=document["transaction"],
        log_index=document["logIndex"],
        block_number=document["blockNumber"],
        sender=document["sender"],
        wallet=document["wallet"],
        amount=amount(document["amount"]),
    )
    return Refund(
        transfer=transfer,
        network=document["network"],
        asset=document["asset"],
        vendor_id=document["vendorId"],
        run_id=str(document["runId"]),
        job_id=str(document["jobId"]),
        by=document["by"],
        why=document["why"],
    )


def _credit_from(document: Document) -> Credit:
    return Credit(
        vendor_id=document["vendorId"],
        run_id=str(document["runId"]),
        job_id=str(document["jobId"]),
        wallet=document["wallet"],
        kind=CreditKind(document["kind"]),
        amount=amount(document["amount"]),
        claimed=document["claimed"],
        transaction=document["transaction"],
        note=document["note"],
    )
