"""OpenVPS' jobs: a command on a fresh small machine, prepaid, read back under an id that is the only secret.

Read in github.com/kartojal/openvps: api/src/routes/jobs.rs (VENDORS' commit 5b301bf adds `files`),
api/src/mpp/middleware.rs, api/src/x402/types.rs, api/src/config.rs, site/skill.md. Jobs are in a database: a restart
keeps them, and those that ran stay `running` for ever.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from mock_vendor.stubs.bench import TIME_UP, Task
from mock_vendor.stubs.payments import PaymentRefused, Sale, payment_header
from mock_vendor.stubs.stub import SHARED_MODES, Stub, StubJob
from mock_vendor.stubs.till import Paid
from seller.runners import JobState

VCPU_HOUR, RAM_MB_HOUR, DISK_GB_HOUR, DISK_GB = 5_000, 2, 100, 10
"""Prices in atomic units an hour."""
TIMEOUT_S = 300
IMAGE = "ubuntu-24.04"
STDERR = "stderr.txt"
KNOWN_HOST = "Warning: Permanently added '172.16.0.2' (ED25519) to the list of known hosts.\n"
"""What ssh writes to stderr, which stands behind the whole of stdout."""
MPP = 'Payment id="{id}", realm="openvps", method="tempo", intent="charge", amount="{amount}"'
CELO = {
    "scheme": "exact",
    "network": "eip155:42220",
    "asset": "0xcebA9300f2b948710d2653dD7B07f33A8B32118C",
    "payTo": "0x6d1E1f1D4F8a4C1aEa6cB0D9E9eB3a0C1d2E3F40",
    "maxTimeoutSeconds": TIMEOUT_S,
    "extra": {"name": "USDC"},
}
MODES = {
    **SHARED_MODES,
    "unreachable": "gets no connection to the machine: the job fails with exit code 1, as a program may",
    "provision_failed": "settles, and then gets no machine: 500, and the money is gone",
    "foreign_poll": "names a poll URL on another host",
    "foreign_token": "answers a paid order with the id of another job",
}


class JobOrderBody(BaseModel):
    """What is ordered. Numbers out of bounds are put to the nearest one, without a word."""

    command: str
    setup: str | None = None
    files: Annotated[dict[str, str] | None, Field(max_length=100)] = None
    vcpus: int | None = None
    ram_mb: int | None = None
    timeout: int | None = None
    image: str | None = None

    def clamped(self) -> tuple[int, int, int]:
        """vCPUs, MB of memory, seconds."""
        return (
            min(max(1 if self.vcpus is None else self.vcpus, 1), 4),
            min(max(512 if self.ram_mb is None else self.ram_mb, 256), 4096),
            min(max(300 if self.timeout is None else self.timeout, 60), 3600),
        )


@dataclass
class VpsJob(StubJob):
    timeout: int = 300
    output: str = ""


class OpenVps(Stub[VpsJob]):
    NAME = "openvps"
    MODES = MODES
    RECORD: ClassVar = {
        "protocol": "openvps",
        "basePricePerHour": "0.02",
        "reliabilityScore": 0.9,
        "supportedGpuTypes": ["CPU"],
    }

    def route(self, app: FastAPI) -> None:
        app.add_api_route("/v1/jobs", self.order, methods=["POST"])
        app.add_api_route("/v1/jobs/{job_id}", self.show, methods=["GET"])

    def order(self, body: JobOrderBody, request: Request) -> Response:
        vcpus, ram_mb, seconds = body.clamped()
        hourly = VCPU_HOUR * vcpus + RAM_MB_HOUR * ram_mb + DISK_GB_HOUR * DISK_GB
        amount = self.price(math.ceil(hourly * seconds / 3600))
        sale = Sale(
            *(amount, f"{self.base_url}/v1/jobs", "Run a command on a Firecracker microVM", TIMEOUT_S),
            after=({**CELO, "amount": str(amount)},),
            extensions=self.extensions(),
        )
        payment = payment_header(request.headers)
        if payment is None or payment[0] == 1:  # it has never heard of X-PAYMENT
            return self._ask(sale)
        try:
            taken = self.desk.take(payment[1], 2, sale)
        except PaymentRefused as error:
            return self._ask(sale, f"Payment verification failed: {error}")
        settled = self.desk.settle(taken)
        if not isinstance(settled, Paid):
            return self._ask(sale, f"Settlement failed: {settled.reason}")
        return self.sold(self._provision(body, seconds, taken.payment.authorization.payer, taken.receipt(settled)))

    def show(self, job_id: str) -> Response:
        job = self.job(job_id)
        if job is None:
            return JSONResponse({"error": "not_found", "message": "Job not found"}, 404)
        ends = job.ended_at or self.clock.now()
        return JSONResponse(
            {
                "job_id": job.job_id,
                "status": job.state,
                "command": job.command,
                "exit_code": job.exit_code,
                "output": job.output,
                "duration_secs": None if job.started_at is None else int(ends - job.started_at),
                "created_at": _iso(job.created_at),
                "started_at": _iso(job.started_at),
                "completed_at": _iso(job.ended_at),
            }
        )

    def _ask(self, sale: Sale, error: str = "") -> Response:
        """The 402: beside x402's header the challenge of another payment protocol, as header and as body."""
        challenge = {"id": self.new_id(), "amount": str(sale.amount), "currency": "USD", "method": "tempo"}
        answer = self.desk.required(sale, self.version(2), error, body=challenge)
        answer.headers["WWW-Authenticate"] = MPP.format(**challenge)
        return answer

    def _provision(self, body: JobOrderBody, seconds: int, payer: str, receipt: dict[str, str]) -> Response:
        if (body.image or IMAGE) != IMAGE:
            answer = {"error": "invalid_image", "message": f"Unsupported image. Available: [{IMAGE!r}]"}
            return JSONResponse(answer, 400, receipt)
        job = VpsJob(self.new_id(), body.command, payer, self.clock.now(), "pending", timeout=seconds)
        with self.lock:
            self.jobs[job.job_id] = job
        if self.has("provision_failed"):
            job.state, job.exit_code, job.output = "failed", 1, "VM provisioning failed: no capacity"
            job.ended_at = self.clock.now()
            answer = {"error": "provision_failed", "message": "Failed to provision VM for job. Please try again."}
            return JSONResponse(answer, 500, receipt)
        if self.has("unreachable"):
            job.state, job.exit_code, job.output = "failed", 1, "SSH not available after 30 seconds"
            job.ended_at = self.clock.now()
            return self._sold(job, receipt)
        task = Task(
            *(job.job_id, f"exec 2>{STDERR}\n{body.command}", seconds, body.setup or ""),
            outputs=(STDERR,),
            files=_relative(body.files or {}),
        )
        self.bench.start(task, lambda: self._begin(job), lambda state: self._end(job, state))
        return self._sold(job, receipt)

    def _sold(self, job: VpsJob, receipt: dict[str, str]) -> Response:
        with self.lock:
            others = [other.job_id for other in self.jobs.values() if other is not job]
        job_id = others[0] if self.has("foreign_token") and others else job.job_id
        host = "https://elsewhere.example" if self.has("foreign_poll") else ""
        ends = _iso(job.created_at + job.timeout)
        poll = f"{host}/v1/jobs/{job_id}"
        sold = {"job_id": job_id, "status": "running", "poll_url": poll, "timeout": job.timeout, "expires_at": ends}
        return JSONResponse(sold, 201, receipt)

    def _begin(self, job: VpsJob) -> bool:
        with self.lock:
            job.state, job.started_at = "running", self.clock.now()
        return True

    def _end(self, job: VpsJob, state: JobState) -> None:
        output = self.bench.output(job.job_id) + KNOWN_HOST + self.bench.file(job.job_id, STDERR)
        with self.lock:
            job.ended_at = self.clock.now()
            if state.reason == TIME_UP:
                job.state, job.output = "timeout", "Job timed out"
            else:
                job.exit_code = 1 if state.exit_code is None else state.exit_code
                job.state, job.output = ("failed" if job.exit_code else "completed"), output


def _relative(files: dict[str, str]) -> dict[str, str]:
    """Files by their path below the job's own folder, which stands for the home of the machine's root."""
    return {path.removeprefix("/root/").lstrip("/"): content for path, content in files.items() if ".." not in path}


def _iso(time: float | None) -> Any:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat()
