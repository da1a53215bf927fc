"""Thousands of runs, written at once in the store's own document format."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bson import ObjectId

from gpuagent.adapters.mongo.documents import run_document
from gpuagent.adapters.mongo.jobs import job_document, payment_document
from gpuagent.adapters.mongo.values import date
from gpuagent.core.model import Run, RunStatus, Settled, Settlement
from gpuagent.core.work import Completed, Failed, Work
from tests.support.factories import RUN, authorization, quote
from tests.support.report_history import seconds

PRICE = 1_400_000
SINCE, DAYS = "2026-09-01T00:00", 80


def many_runs(count: int, vendor_ids: Sequence[str], seed: int = 3) -> list[Run]:
    """One paid job each, at PRICE; nine of ten complete."""
    dice = random.Random(seed)
    return [_run(place, vendor_ids[place % len(vendor_ids)], dice) for place in range(count)]


def write(database: Any, runs: Sequence[Run]) -> None:
    jobs = [(run, job) for run in runs for job in run.jobs]
    database.runs.insert_many([run_document(run) for run in runs])
    database.jobs.insert_many([job_document(run, job) for run, job in jobs])
    database.payments.insert_many(
        [{**(payment_document(run, job) or {}), "createdAt": date(job.reserved_at)} for run, job in jobs]
    )


def _run(place: int, vendor_id: str, dice: random.Random) -> Run:
    at = round(seconds(SINCE) + dice.random() * DAYS * 86_400, 3)
    end = round(at + 3600 * dice.uniform(0.5, 1.5), 3)
    job_id, vendor_job_id = str(ObjectId()), f"job-{place}"
    completes = place % 10 > 0
    work: Work = Completed(vendor_job_id, end)
    if not completes:
        work = Failed(f"GPU {place} fell off the bus", end, vendor_job_id)
    job = Settled(
        job_id,
        quote(PRICE, vendor_id, max_hours=Decimal(1)),
        at,
        authorization(PRICE, nonce="0x" + job_id.rjust(64, "0")),
        "header",
        Settlement("0x" + job_id.rjust(64, "d"), 7, int(at)),
        work,
    )
    status = RunStatus.COMPLETED if completes else RunStatus.FAILED
    return replace(RUN, run_id=str(ObjectId()), user_id="ada", created_at=at, jobs=(job,), status=status)
