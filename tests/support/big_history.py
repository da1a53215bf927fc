"""Histories of any size, as raw documents: what the store writes, copied from few templates, the same for one seed.

A run has one paid job, or two where the first failed (one of ten). Every twentieth run has a planner that cost money,
every fifth a job file and outputs. Times are spread over DAYS days that end a day before UNTIL.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from bson import ObjectId
from pymongo import WriteConcern

from gpuagent.adapters.mongo.documents import observation_document, run_document, vendor_document
from gpuagent.adapters.mongo.jobs import job_document
from gpuagent.adapters.mongo.payments import payment_document
from gpuagent.adapters.mongo.values import date, money
from gpuagent.core.model import Observation, Run, RunStatus, Settled, Settlement, Vendor
from gpuagent.core.work import Completed, Failed, Work
from tests.support.factories import RUN, VENDOR, authorization, quote
from tests.support.report_history import MODEL, planner_answer, seconds

UNTIL, DAYS = "2026-11-22T12:00", 365
USERS, TAGS = ("ada", "bob", "eve", "kim", "lou"), ((), ("nightly",), ("nightly", "vision"), ("speech",))
HOURS, GPUS, VENDORS = (1, 2, 4), ("A100", "H100"), 6
BUDGET = 100_000_000
PRICES = [1_100_000 + 150_000 * place for place in range(VENDORS)]
PLANNER_COST = 20_000
CHAIN_BEGAN = seconds("2024-01-01T00:00")
BATCH = 2_000
"""Runs that are inserted together."""
Documents = dict[str, list[dict[str, Any]]]


def vendors() -> list[Vendor]:
    return [
        replace(VENDOR, vendor_id=f"gpu_vendor_{place + 1}", name=f"Vendor {place + 1}") for place in range(VENDORS)
    ]


def write(database: Any, count: int, seed: int = 7, tell: Any = None) -> None:
    """Insert so many runs with all that belongs to them. tell: called with the number of runs after each batch."""
    raw = database.with_options(write_concern=WriteConcern(w=1, j=False))
    known = raw.vendors.distinct("vendorId")
    registered = [
        {**vendor_document(vendor), "createdAt": date(seconds("2025-01-01T00:00"))}
        for vendor in vendors()
        if vendor.vendor_id not in known
    ]

    def insert(batch: Documents) -> int:
        for name, documents in batch.items():
            if documents:
                raw[name].insert_many(documents, ordered=False, bypass_document_validation=True)
        return len(batch["runs"])

    with ThreadPoolExecutor(2) as pool:  # one batch is made while two are inserted
        waiting = []
        for batch in batches(count, seed):
            waiting.append(pool.submit(insert, batch))
            if len(waiting) > 2:
                _told(waiting.pop(0).result(), tell)
        for inserted in waiting:
            _told(inserted.result(), tell)
    # Durable, and so is all before it: who reads a snapshot reads what a majority has.
    database.with_options(write_concern=WriteConcern(w="majority")).vendors.insert_many(registered)


def _told(inserted: int, tell: Any) -> None:
    if tell:
        tell(inserted)


def batches(count: int, seed: int) -> Iterator[Documents]:
    """The documents by collection, BATCH runs at a time, oldest first."""
    dice, end = random.Random(seed), seconds(UNTIL) - 86_400
    step = DAYS * 86_400 / max(count, 1)
    for start in range(0, count, BATCH):
        batch: Documents = {name: [] for name in ("runs", "jobs", "payments", "observations")}
        for place in range(start, min(start + BATCH, count)):
            _add(batch, place, round(end - (count - place) * step, 3), dice)
        yield batch


def _add(batch: Documents, place: int, at: float, dice: random.Random) -> None:
    """Add one run. Its ids say its time, as those of the driver do, and its place."""
    run_id = _id(at, 0, place)
    gpu, hours = dice.choice(GPUS), dice.choice(HOURS)
    fails, costs, has_file = dice.random() < 0.1, place % 20 == 0, place % 5 == 0
    outcomes = (False, dice.random() < 0.9) if fails else (True,)
    spent, now = 0, at
    for ordinal, succeeds in enumerate(outcomes):
        vendor = dice.randrange(VENDORS)
        template_run, job, payment = _templates(vendor, gpu, hours, succeeds)
        job_id, paid_at = _id(now, ordinal + 1, place), float(int(now) + 30)
        ended_at = round(paid_at + hours * 3600 * dice.uniform(0.4, 1.2), 3)
        amount = PRICES[vendor] * hours
        job = {
            **job,
            **{"_id": job_id, "runId": run_id, "ordinal": ordinal, "vendorJobId": f"job-{place}-{ordinal}"},
            **{"createdAt": date(now), "settledAt": date(paid_at), "completedAt": date(ended_at)},
        }
        if not succeeds:
            job["errorMessage"] = f"GPU {place % 8} fell off the bus"
        elif has_file:
            job["files"] = [{"kind": "output", "path": "model.bin", "bytes": place, "sha256": "f" * 64}]
        batch["jobs"].append(job)
        proof = {"nonce": f"0x{job_id}".ljust(66, "0"), "x402TxId": f"0x{job_id}".ljust(66, "d")}
        times = {"settledAt": date(paid_at), "createdAt": date(now)}
        batch["payments"].append({**payment, "_id": _id(now, 8, place * 2 + ordinal), "runId": run_id, "jobId": job_id})
        batch["payments"][-1] |= {**proof, **times, "blockNumber": int(paid_at - CHAIN_BEGAN)}
        batch["observations"] += _observations(template_run, run_id, job_id, place, ordinal, (now, ended_at), costs)
        spent, now = spent + amount, ended_at + 5
    cost = PLANNER_COST * len(outcomes) if costs else 0
    batch["runs"].append(
        {
            **run_document(replace(template_run, run_id=str(run_id), created_at=at, planner_cost=0)),
            **{"userId": USERS[place % len(USERS)], "tags": list(TAGS[place % len(TAGS)]), "goal": f"Goal {place}"},
            **({"workload": "job: true", "workloadHash": "a" * 64} if has_file else {}),
            **{"settled": money(spent), "plannerCost": money(cost), "held": money(0), "planner": "llm"},
            **{"budgetRemaining": money(BUDGET - spent - cost), "updatedAt": date(now), "version": 4 * len(outcomes)},
        }
    )
    for job in batch["jobs"][-len(outcomes) :]:
        job["tags"] = batch["runs"][-1]["tags"]


def _id(at: float, kind: int, place: int) -> ObjectId:
    return ObjectId(f"{int(at):08x}{kind:04x}{place:012x}")


@cache
def _templates(vendor: int, gpu: str, hours: int, succeeds: bool) -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """A run, and the documents of its job and payment, as the store writes them."""
    job_id, amount = "b" * 24, PRICES[vendor] * hours
    work: Work = Completed("job", 2.0) if succeeds else Failed("?", 2.0, "job")
    priced = quote(amount, f"gpu_vendor_{vendor + 1}", gpu_type=gpu, max_hours=Decimal(hours))
    job = Settled(job_id, priced, 1.0, authorization(amount), "header", Settlement("0x" + "d" * 64, 7, 1), work)
    status = RunStatus.COMPLETED if succeeds else RunStatus.FAILED
    reason = "" if succeeds else "no vendor is worth it"
    run = replace(RUN, budget=BUDGET, gpu_type=gpu, max_hours=Decimal(hours), status=status, reason=reason, jobs=(job,))
    return run, job_document(run, job), payment_document(run, job) or {}


def _observations(
    run: Run, run_id: ObjectId, job_id: ObjectId, place: int, ordinal: int, times: Sequence[float], costs: bool
) -> list[dict[str, Any]]:
    """The decision, the payment and a line of the job's log."""
    began_at, ended_at = times
    decided = planner_answer("0.02") if costs else Observation("agent_reasoning", "because", data={"model": MODEL})
    seen = (
        (decided, began_at),
        (Observation("payment_event", "settled", data={"jobId": str(job_id)}), began_at + 30),
        (Observation("job_log", "epoch 1: loss 0.1", data={}), ended_at),
    )
    written = []
    for step, (observation, at) in enumerate(seen):
        document = observation_document(run, observation, step + 1, at)
        written.append({**document, "_id": _id(at, 16 + step, place * 2 + ordinal), "runId": run_id})
    written[-1] |= {"jobId": job_id, "position": 0}
    return written
