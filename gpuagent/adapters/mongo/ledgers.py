"""The ledgers of all runs, read page by page for a sweep, so that memory stays bounded."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.read_preferences import ReadPreference

from gpuagent.adapters.mongo import refunds
from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.payments import PAYMENT_STATUS, signed_otherwise
from gpuagent.adapters.mongo.quotes import protocol_of
from gpuagent.adapters.mongo.values import Document, seconds
from gpuagent.core.credits import Credit
from gpuagent.core.model import OWN_PROTOCOL, TIMEOUT_MAX_S, Token
from gpuagent.core.money import amount
from gpuagent.core.records import PayerRecord, Payment, PaymentStatus, Refund, Reservation, RunRecord

PAGE = 1_000
"""Documents read at once."""
STATUS = {state.__name__.lower(): status for state, status in PAYMENT_STATUS.items()}

ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
Pipeline = Sequence[Mapping[str, Any]]
JOB_OF_PAYMENT: Pipeline = [{"$lookup": {"from": "jobs", "localField": "jobId", "foreignField": "_id", "as": "jobs"}}]
RUN_OF_JOB: Pipeline = [{"$lookup": {"from": "runs", "localField": "runId", "foreignField": "_id", "as": "runs"}}]
LIFE = {"$ifNull": ["$lifeSeconds", TIMEOUT_MAX_S]}  # an older record has none


def _sum_of(*states: str) -> dict[str, Any]:
    return {"$sum": {"$cond": [{"$in": ["$state", list(states)]}, "$quote.priceEstimate", 0]}}


def _signed_as(status: str) -> dict[str, Any]:
    return {"$sum": {"$cond": [{"$eq": ["$status", status]}, "$amount", 0]}}


def _ids_where(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"$push": {"$cond": [condition, "$_id", None]}}


PAID_COST = {"$cond": [{"$eq": ["$state", "settled"]}, "$quote.priceEstimate", 0]}
COSTS_OTHERWISE = {
    "$or": [{"$ne": ["$expectedCost", "$quote.priceEstimate"]}, {"$ne": ["$actualCost", PAID_COST]}],
}
"""Caps and reports add up other fields of a job than its quote."""
OF_RUN = {"payer": "payer", "userId": "userId", "tags": "tags", "quote.network": "network"}
"""Fields of a job by which caps count it, and those of its run that they repeat. An older record lacks some."""
COUNTS_FOR_OTHERS = {
    "$or": [{"$ne": [{"$ifNull": [f"${field}", f"$${of_run}"]}, f"$${of_run}"]} for field, of_run in OF_RUN.items()]
}
SUMS_OF_RUN: Pipeline = [
    {
        "$lookup": {
            "from": "jobs",
            "localField": "_id",
            "foreignField": "runId",
            "let": {name: f"${name}" for name in OF_RUN.values()},
            "pipeline": [
                {
                    "$group": {
                        "_id": None,
                        "settled": _sum_of("settled"),
                        "held": _sum_of(*HELD),
                        "authorized": _sum_of("authorized"),
                        "signed": _ids_where({"$in": ["$state", ["authorized", "settled"]]}),
                        "odd": _ids_where(COSTS_OTHERWISE),
                        "foreign": _ids_where(COUNTS_FOR_OTHERS),
                    }
                }
            ],
            "as": "sums",
        }
    },
    {
        "$lookup": {
            "from": "payments",
            "localField": "_id",
            "foreignField": "runId",
            "pipeline": [
                {
                    "$group": {
                        "_id": None,
                        "settled": _signed_as("completed"),
                        "authorized": _signed_as("pending"),
                        "jobs": {"$push": "$jobId"},
                    }
                }
            ],
            "as": "payments",
        }
    },
    {"$project": {"version": 1, "jobsMax": 1, "settled": 1, "held": 1, "sums": 1, "payments": 1}},
]


class MongoLedgers:
    """The recorded payments, reservations and sums of all runs. Raises StoreError.

    Reads the primary: what was saved before a read is in it.
    """

    def __init__(self, connection: Connection, page: int = PAGE) -> None:
        """page: documents read at once, each page within the connection's deadline."""
        self.connection = connection
        self._database = connection.database.with_options(read_preference=ReadPreference.PRIMARY)
        self._page = page

    def wallets(self, token: Token) -> list[PayerRecord]:
        """Every wallet that a run or a payment of the token names. What is no address is none, and has no history."""
        signed = {"network": token.network, "asset": {"$in": self._spellings(token)}}
        with self.connection.deadline():
            first = {"$group": {"_id": "$payer", "at": {"$min": "$createdAt"}}}
            runs = list(self._database.runs.aggregate([{"$match": OURS}, first]))
            payments = list(
                self._database.payments.aggregate(
                    [
                        {"$match": signed},
                        {
                            "$group": {
                                "_id": "$payer",
                                "usable": {"$min": {"$subtract": ["$validBefore", LIFE]}},
                                "at": {"$min": "$createdAt"},
                            }
                        },
                    ]
                )
            )
        began: dict[str, float] = {}
        for group in (*runs, *payments):
            began[group["_id"]] = min(began.get(group["_id"], float("inf")), seconds(group["at"]))
        usable = {group["_id"]: group["usable"] for group in payments}
        addresses = sorted(payer for payer in began if ADDRESS.fullmatch(str(payer)))
        return [PayerRecord(payer, began[payer], usable.get(payer)) for payer in addresses]

    def payments(self, payer: str, token: Token) -> Iterator[Payment]:
        """All recorded authorizations of the wallet for the token, each once."""
        for asset in self._spellings(token):
            match = {"network": token.network, "asset": asset, "payer": payer}
            for document in self._pages("payments", match, "nonce", JOB_OF_PAYMENT):
                yield _payment(document)

    def again(self, payment: Payment) -> Payment:
        """The same payment, read anew."""
        match = {"jobId": ObjectId(payment.job_id), "nonce": payment.authorization.nonce}
        with self.connection.deadline():
            documents = self._database.payments.aggregate([{"$match": match}, *JOB_OF_PAYMENT])
            return _payment(next(iter(documents)))

    def reservations(self, payer: str, token: Token) -> Iterator[Reservation]:
        """Budget that the wallet's runs hold for quotes in the token, with nothing signed."""
        # An older record of a job names no wallet: the run's counts, as it does for all.
        match = {"payer": {"$in": [payer, None]}, "state": "reserved", "quote.network": token.network}
        for job in self._pages("jobs", match, "_id", RUN_OF_JOB):
            quote = job["quote"]
            if quote["asset"].lower() == token.address.lower() and [run.get("payer") for run in job["runs"]] == [payer]:
                price, expires_at = amount(quote["priceEstimate"]), seconds(quote["expiresAt"])
                yield Reservation(str(job["runId"]), str(job["_id"]), job["vendorId"], price, expires_at)

    def runs(self, payer: str) -> Iterator[RunRecord]:
        """All runs of the wallet, oldest first."""
        for document in self._pages("runs", {"payer": payer}, "_id", SUMS_OF_RUN):
            yield _run_record(document)

    def run(self, run_id: str) -> RunRecord:
        with self.connection.deadline():
            documents = self._database.runs.aggregate([{"$match": {"_id": ObjectId(run_id)}}, *SUMS_OF_RUN])
            return _run_record(next(iter(documents)))

    @deadlined
    def refunds(self, payer: str, token: Token) -> list[Refund]:
        """What is booked of transfers of the token into the wallet, in the order of booking."""
        return list(refunds.refunds(self._database, payer, token))

    @deadlined
    def claims(self, payer: str, token: Token) -> list[tuple[Credit, Payment]]:
        """What vendors said that they give back of the wallet's payments."""
        return list(refunds.claims(self._database, payer, token))

    @deadlined
    def senders(self, payer: str, token: Token) -> frozenset[str]:
        """The addresses that refunds may come from: payees, declared addresses, senders of booked refunds."""
        return refunds.senders(self._database, payer, token)

    @deadlined
    def addresses(self) -> dict[str, str]:
        """By vendor, the address that it declared for refunds."""
        return refunds.addresses(self._database)

    @deadlined
    def payment_of(self, job_id: str) -> Payment:
        """The payment of a job. Raises BadInput where there is none."""
        return refunds.payment_of(self._database, job_id)

    def _spellings(self, token: Token) -> list[str]:
        """How the token's address is written in payments: in any case of its letters."""
        with self.connection.deadline():
            addresses = self._database.payments.distinct("asset", {"network": token.network})
        return [address for address in addresses if address.lower() == token.address.lower()]

    def _pages(self, collection: str, match: Mapping[str, Any], key: str, rest: Pipeline) -> Iterator[Document]:
        """The matching documents in the order of a key that never changes: what is there at the start is read once."""
        after: Mapping[str, Any] = {}
        while True:
            page: Pipeline = [
                {"$match": {**match, **after}},
                {"$sort": {key: ASCENDING}},
                {"$limit": self._page},
                *rest,
            ]
            with self.connection.deadline():
                documents = list(self._database[collection].aggregate(page))
            yield from documents
            if len(documents) < self._page:
                return
            after = {key: {"$gt": documents[-1][key]}}


def _payment(document: Document) -> Payment:
    protocol = next((protocol_of(job["quote"]) for job in document["jobs"]), OWN_PROTOCOL)
    return replace(refunds.payment_from(document), contradiction=_contradiction(document), protocol=protocol)


def _contradiction(payment: Document) -> str:
    """What the job says otherwise of all that caps and reports count it by."""
    (job, *_) = payment["jobs"] or [{"state": "gone"}]
    if STATUS.get(job["state"]) != payment["status"]:
        return f"recorded as {payment['status']}, its job is not"
    quote = job["quote"]
    facts = {
        "amount": (quote["priceEstimate"], payment["amount"]),
        "vendor": (job["vendorId"], payment["vendorId"]),
        "network": (quote["network"], payment["network"]),
        "payee": (quote["payTo"].lower(), payment["payee"].lower()),
        "token": (quote["asset"].lower(), payment["asset"].lower()),
        "wallet": (job.get("payer", payment["payer"]), payment["payer"]),  # an older record of a job names none
        "time of settlement": (job.get("settledAt"), payment.get("settledAt")),
    }
    if payment["status"] != PaymentStatus.COMPLETED and (names := signed_otherwise(payment)):
        return f"other terms were signed: {', '.join(names)}"
    differing = [f"{name} {of_job}" for name, (of_job, of_payment) in facts.items() if of_job != of_payment]
    return f"its job says otherwise: {', '.join(differing)}" if differing else ""


def _run_record(document: Document) -> RunRecord:
    (sums,) = document["sums"] or [{}]
    (signed,) = document["payments"] or [{}]
    paid = set(signed.get("jobs", ()))
    unpaid = [job_id for job_id in sums.get("signed", ()) if job_id and job_id not in paid]
    odd, foreign = ([job_id for job_id in sums.get(name, ()) if job_id] for name in ("odd", "foreign"))
    return RunRecord(
        run_id=str(document["_id"]),
        version=document["version"],
        jobs_max=document["jobsMax"],
        settled=amount(document["settled"]),
        held=amount(document["held"]),
        settled_by_jobs=_total(sums, "settled"),
        held_by_jobs=_total(sums, "held"),
        contradictions=(
            *((str(job_id), "its payment is gone") for job_id in unpaid),
            *((str(job_id), "it is to cost, or has cost, another amount than it was quoted") for job_id in odd),
            *((str(job_id), "it is of another wallet, user, tags or network than its run") for job_id in foreign),
        ),
        payments_agree=all(_total(sums, name) == _total(signed, name) for name in ("settled", "authorized")),
    )


def _total(sums: Mapping[str, Any], name: str) -> int:
    """MongoDB's sum of no amounts is the integer 0."""
    return amount(sums[name]) if sums.get(name) else 0
