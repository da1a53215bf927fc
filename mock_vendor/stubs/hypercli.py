"""HyperCLI's x402 jobs: the buyer names the amount, the runtime follows from it, and what is left goes to a balance.

Read in github.com/HyperCLI/hypercli: sdk/hypercli/x402.py and jobs.py, docs/openapi.json, docs/sdk/x402.mdx, which
disagree about the body. Prices and regions are of this stub's own making.
"""

import base64
import math
import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from fastapi import FastAPI, HTTPException, Request
from starlette.responses import JSONResponse, Response

from mock_vendor.stubs.bench import TIME_UP, Task
from mock_vendor.stubs.hypercli_orders import ON_DEMAND, PRICES, UNIT, JobFields, hourly, read_order
from mock_vendor.stubs.payments import PaymentRefused, Sale, payment_header
from mock_vendor.stubs.stub import SHARED_MODES, Stub, StubJob
from mock_vendor.stubs.till import Paid
from seller.runners import JobState

TIMEOUT_S = 300
REGION = "us-east"
CANCELED = "canceled by its buyer"
MODES = {
    **SHARED_MODES,
    "flat_body": "wants the job's fields flat, with runtime and without amount; else nested, with amount",
    "foreign_token": "answers a paid order with the access key of another job",
    "foreign_poll": "names status, logs and cancel URLs on another host",
}


@dataclass
class HyperJob(StubJob):
    fields: JobFields | None = None
    access_key: str = ""
    runtime: int = 0
    amount: int = 0


class HyperCli(Stub[HyperJob]):
    """credits: what was given back to each payer's balance on the platform, in atomic units."""

    NAME = "hypercli"
    MODES = MODES
    RECORD: ClassVar = {
        "protocol": "hypercli",
        "basePricePerHour": PRICES["a100"],
        "reliabilityScore": 0.9,
        "supportedGpuTypes": [name.upper() for name in PRICES],
    }

    credits: dict[str, int]

    def route(self, app: FastAPI) -> None:
        self.credits = {}
        app.add_api_route("/api/x402/job", self.order, methods=["POST"])
        app.add_api_route("/api/jobs/{job_id}", self.show, methods=["GET"])
        app.add_api_route("/api/jobs/{job_id}/logs", self.logs, methods=["GET"])
        app.add_api_route("/api/jobs/{job_id}", self.cancel, methods=["DELETE"])
        app.add_api_route("/instances/types", self.types, methods=["GET"])
        app.add_api_route("/instances/pricing", self.pricing, methods=["GET"])

    def order(self, body: dict[str, Any], request: Request) -> Response:
        fields, amount, runtime = read_order(body, flat=self.has("flat_body"))
        sale = Sale(
            self.price(amount), f"{self.base_url}/api/x402/job", "A GPU job", TIMEOUT_S, extensions=self.extensions()
        )
        payment = payment_header(request.headers)
        if payment is None:
            return self.desk.required(sale, self.version(2), body={})
        version, header = payment
        try:
            taken = self.desk.take(header, version, sale)
        except PaymentRefused as error:
            return self.desk.required(sale, self.version(version), str(error), body={})
        settled = self.desk.settle(taken)
        if not isinstance(settled, Paid):
            return self.desk.required(sale, self.version(version), settled.reason, body={})
        job = HyperJob(
            *(self.new_id(), fields.command, taken.payment.authorization.payer, self.clock.now(), "pending"),
            fields=fields,
            access_key=f"hypercli_access_{secrets.token_urlsafe(24)}",
            runtime=runtime,
            amount=sale.amount,
        )
        with self.lock:
            self.jobs[job.job_id] = job
        command = base64.b64decode(fields.command).decode()
        task = Task(job.job_id, command, runtime, env=fields.env_vars or {})
        self.bench.start(task, lambda: self._begin(job), lambda state: self._end(job, state))
        return self.sold(JSONResponse(self._sold_body(job), 200, taken.receipt(settled)))

    def show(self, job_id: str, request: Request) -> Response:
        return JSONResponse(self._view(self._owned(job_id, request)))

    def logs(self, job_id: str, request: Request) -> Response:
        job = self._owned(job_id, request)
        return JSONResponse({"job_id": job.job_id, "logs": self.bench.output(job.job_id)})

    def cancel(self, job_id: str, request: Request) -> Response:
        """Ends the job; what is left of its runtime goes to a balance on the platform, and not to the chain."""
        job = self._owned(job_id, request)
        with self.lock:
            if job.ended_at is not None:
                raise HTTPException(400, f"Job is already {job.state}")
            job.state, job.ended_at = "canceled", self.clock.now()
            left = job.amount - math.ceil(self._elapsed(job) * job.amount / job.runtime)
            self.credits[job.payer] = self.credits.get(job.payer, 0) + max(0, left)
        self.bench.stop(job.job_id, CANCELED)
        return JSONResponse({"status": "canceled", "job_id": job.job_id, "message": None})

    def types(self) -> Response:
        return JSONResponse({name: {"name": name.upper(), "counts": [1, 2, 4, 8]} for name in PRICES})

    def pricing(self) -> Response:
        rows = {
            f"{name}_x{count}": (Decimal(price) * count) for name, price in PRICES.items() for count in (1, 2, 4, 8)
        }
        return JSONResponse(
            {
                key: {REGION: {"on-demand": float(usd * ON_DEMAND), "interruptable": float(usd)}}
                for key, usd in rows.items()
            }
        )

    def _owned(self, job_id: str, request: Request) -> HyperJob:
        job = self.job(job_id)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if job is None:
            raise HTTPException(404, "Job not found")
        if not secrets.compare_digest(key.encode(), job.access_key.encode()):
            raise HTTPException(401, "Invalid access key")
        return job

    def _sold_body(self, job: HyperJob) -> dict[str, Any]:
        base = "https://elsewhere.example/jobs" if self.has("foreign_poll") else "/jobs"
        others = [other.access_key for other in self.jobs.values() if other is not job]
        return {
            "job": self._view(job),
            "access_key": others[0] if self.has("foreign_token") and others else job.access_key,
            "status_url": f"{base}/{job.job_id}",
            "logs_url": f"{base}/{job.job_id}/logs",
            "cancel_url": f"{base}/{job.job_id}",
        }

    def _view(self, job: HyperJob) -> dict[str, Any]:
        assert job.fields
        price, elapsed = hourly(job.fields) / UNIT, self._elapsed(job)
        return {
            "job_id": job.job_id,
            "job_key": f"key-{job.job_id}",
            "user_id": f"x402-{job.payer[-8:]}",
            "hostname": None,
            "state": job.state,
            "gpu_type": job.fields.gpu_type,
            "gpu_count": job.fields.gpu_count,
            "region": job.fields.region or REGION,
            "interruptible": job.fields.interruptible,
            "price_per_hour": float(price),
            "price_per_second": float(price / 3600),
            "docker_image": job.fields.docker_image,
            "command": job.command,
            "env_vars": job.fields.env_vars,
            "runtime": job.runtime,
            "elapsed": int(elapsed),
            "time_left": max(0, job.runtime - int(elapsed)),
            "cold_boot": True,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "completed_at": job.ended_at,
            "completed": job.ended_at is not None,
        }

    def _elapsed(self, job: HyperJob) -> float:
        return 0.0 if job.started_at is None else (job.ended_at or self.clock.now()) - job.started_at

    def _begin(self, job: HyperJob) -> bool:
        with self.lock:
            if job.state != "canceled":
                job.state, job.started_at = "running", self.clock.now()
            return job.state != "canceled"

    def _end(self, job: HyperJob, state: JobState) -> None:
        with self.lock:
            if job.state != "canceled":
                job.ended_at = self.clock.now()
                job.state = "terminated" if state.reason == TIME_UP else "failed" if state.exit_code else "succeeded"
