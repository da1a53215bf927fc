"""A history to report on, written by the store itself: eight runs whose figures can be worked out by hand.

gpu_vendor_1 to gpu_vendor_3 are alpha, beta and gamma here. Amounts in USD as text, times as ISO 8601 in UTC.

run  user  started      what happened
A    ada   2 Nov 10:00  alpha A100 1 h 1.40 failed, beta A100 1 h 1.80 completed; planner 0.02 + 0.01; budget 10
B    bob   3 Nov 09:00  alpha A100 2 h 2.60 completed; budget 5
C    ada  20 Nov 00:00  gamma H100 1 h 3.00 failed, 1.00 came back; budget 4
D    bob  21 Nov 09:00  beta 1.80 fell through before it was signed, alpha 1.40 reserved; budget 5
E    ada  22 Nov 08:00  beta A100 1 h 1.80 under way; budget 6
F    bob   5 Oct 09:00  alpha A100 1 h 1.40 completed; budget 5
G    ada  31 Oct 23:50  beta A100 1 h 1.80, settled on 1 Nov 00:05, completed; budget 5
H    bob  10 Nov 09:00  alpha 1.40 signed, and never settled in its time; budget 5
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Decimal128
from pymongo import MongoClient

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.core.model import (
    Authorized,
    Cause,
    Job,
    Observation,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Settlement,
    Vendor,
    Voided,
)
from gpuagent.core.money import parse_usd
from gpuagent.core.work import Completed, Failed, Underway, Work
from gpuagent.reports.report import Report, make_report
from gpuagent.reports.request import ReportRequest
from gpuagent.wiring.database import Database
from tests.support.factories import ASSET, PAYEE, RUN, TOKEN, authorization, quote

ALPHA, BETA, GAMMA = "gpu_vendor_1", "gpu_vendor_2", "gpu_vendor_3"
NOW = "2026-11-22T12:00"
ADVERTISED = {ALPHA: 0.9, BETA: 0.6, GAMMA: 0.99}
LATE, MODEL = "2026-11-10T09:05", "fireworks_ai/deepseek"


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp()


def vendors() -> list[Vendor]:
    return [
        Vendor(
            name,
            f"Vendor {name[-1]}",
            "http://127.0.0.1:1",
            PAYEE,
            TOKEN.network,
            ASSET,
            "S",
            1,
            rate,
            ("A100", "H100"),
        )
        for name, rate in ADVERTISED.items()
    ]


class Book:
    """Writes runs with the store, one save each."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.store = db.store
        self.runs: dict[str, Run] = {}
        for place, vendor in enumerate(vendors()):
            self.store.put_vendor(vendor, seconds("2026-01-01T00:00") + place)

    def run(self, name: str, user: str, at: str, budget: str, *jobs: Job, **changes: Any) -> Run:
        observations = changes.pop("observations", [])
        ended = changes.pop("ended", at)
        run_id = self.store.new_id()
        fresh = replace(RUN, run_id=run_id, user_id=user, created_at=seconds(at), budget=parse_usd(budget))
        at_start = {key: changes[key] for key in ("tags", "planner", "planner_arms") if key in changes}
        fresh = replace(fresh, goal=f"Goal {name}", **at_start)
        self.store.create(fresh)
        finished = replace(fresh, jobs=jobs, **changes)
        self.runs[name] = self.store.save(fresh, finished, observations, seconds(ended))
        return self.runs[name]

    def settled(self, vendor: str, price: str, at: str, work: Work, hours: str = "1", gpu: str = "A100") -> Settled:
        job_id = self.store.new_id()
        priced = quote(parse_usd(price), vendor, gpu_type=gpu, max_hours=Decimal(hours))
        terms = authorization(priced.amount, nonce="0x" + job_id.rjust(64, "0"))
        paid = Settlement("0x" + job_id.rjust(64, "d"), 7, int(seconds(at)))
        return Settled(job_id, priced, seconds(at) - 60, terms, "header", paid, work)

    def reserved(self, vendor: str, price: str, at: str) -> Reserved:
        until = seconds("2026-11-30T00:00")
        return Reserved(self.store.new_id(), quote(parse_usd(price), vendor, expires_at=until), seconds(at))

    def voided(self, vendor: str, price: str, at: str) -> Voided:
        priced = quote(parse_usd(price), vendor)
        return Voided(self.store.new_id(), priced, seconds(at), "the price was raised", cause=Cause.VENDOR)

    def signed(self, vendor: str, price: str, at: str, until: str) -> Authorized:
        job_id = self.store.new_id()
        amount = parse_usd(price)
        terms = authorization(amount, nonce="0x" + job_id.rjust(64, "0"), valid_before=int(seconds(until)))
        return Authorized(job_id, quote(amount, vendor), seconds(at), terms, "header")


def completed(at: str, name: str) -> Completed:
    return Completed(name, seconds(at))


def failed(at: str, name: str, percent: int) -> Failed:
    return Failed(f"Simulated GPU failure at {percent} %", seconds(at), name)


def planner_answer(cost: str) -> Observation:
    tokens = {"prompt": 1000, "completion": 50}
    data = {"cost": parse_usd(cost), "planner": "llm", "decidedBy": "llm", "model": MODEL, "tokens": tokens}
    return Observation("agent_reasoning", "because", data={**data, "latencyMs": 1500})


OVER: dict[str, Any] = {"status": RunStatus.COMPLETED}
LOST: dict[str, Any] = {"status": RunStatus.FAILED, "reason": "no vendor is worth it"}


def write(db: Database, database: Any) -> Book:
    """Write the eight runs. database: for what only an operator records, that some of a payment came back."""
    book = Book(db)
    settled, run = book.settled, book.run
    first = settled(ALPHA, "1.40", "2026-11-02T10:01", failed("2026-11-02T11:00", "a1", 37))
    second = settled(BETA, "1.80", "2026-11-02T11:02", completed("2026-11-02T12:02", "a2"))
    planner = {
        "observations": [planner_answer("0.02"), planner_answer("0.01")],
        "planner": "llm",
        "planner_cost": 30_000,
    }
    run("A", "ada", "2026-11-02T10:00", "10", first, second, ended="2026-11-02T12:02", tags=("x",), **planner, **OVER)
    job = settled(ALPHA, "2.60", "2026-11-03T09:01", completed("2026-11-03T11:00", "b1"), hours="2")
    run("B", "bob", "2026-11-03T09:00", "5", job, ended="2026-11-03T11:00", **OVER)
    job = settled(GAMMA, "3.00", "2026-11-20T00:05", failed("2026-11-20T01:00", "c1", 12), gpu="H100")
    run("C", "ada", "2026-11-20T00:00", "4", job, ended="2026-11-20T01:00", tags=("x", "y"), **LOST)
    database.jobs.update_one({"vendorJobId": "c1"}, {"$set": {"actualCost": Decimal128("2.00")}})
    voided = book.voided(BETA, "1.80", "2026-11-21T09:00")
    reserved = book.reserved(ALPHA, "1.40", "2026-11-21T09:01")
    run("D", "bob", "2026-11-21T09:00", "5", voided, reserved)
    working = Underway("e1", seconds("2026-11-22T11:30"), 0.5)
    run("E", "ada", "2026-11-22T08:00", "6", settled(BETA, "1.80", "2026-11-22T08:01", working))
    job = settled(ALPHA, "1.40", "2026-10-05T09:01", completed("2026-10-05T10:00", "f1"))
    run("F", "bob", "2026-10-05T09:00", "5", job, ended="2026-10-05T10:00", **OVER)
    job = settled(BETA, "1.80", "2026-11-01T00:05", completed("2026-11-01T01:00", "g1"))
    run("G", "ada", "2026-10-31T23:50", "5", job, ended="2026-11-01T01:00", **OVER)
    run("H", "bob", "2026-11-10T09:00", "5", book.signed(ALPHA, "1.40", "2026-11-10T09:00", LATE))
    return book


@contextmanager
def empty_database(uri: str, name: str) -> Iterator[tuple[Database, Any]]:
    """An empty database for reports, as the agent opens it and as a client does."""
    client: MongoClient[Any] = MongoClient(uri)
    client.drop_database(name)
    connection = Connection(uri, name)
    try:
        yield Database(connection), client[name]
    finally:
        connection.close()
        client.close()


def report(db: Database, period: str = "2026-11", now: str = NOW, **request: str) -> Report:
    return make_report(ReportRequest(period, **request), db, TOKEN.network, seconds(now))
