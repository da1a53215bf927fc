"""Prism's one-shot compute: one shell command at one price, and the payment is taken once the work has succeeded.

Read in github.com/prismnetwork-tech/prism at 2d925f644d10ed2c5a50c03b184654db2c03e076: x402/server.mjs, codec.mjs,
exact-evm.mjs, schemas.mjs. Jobs are in memory alone, for an hour after their end.
"""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from mock_vendor.stubs.bench import Task
from mock_vendor.stubs.payments import PaymentRefused, Sale, TakenPayment, payment_header
from mock_vendor.stubs.stub import SHARED_MODES, Stub, StubJob
from mock_vendor.stubs.till import Paid, Unknown
from seller.runners import JobState

PRICE = 300_000
DURATION_S, SPARE_S = 900, 120
"""The lease, and how much longer than that an authorization is to live, from when it comes."""
SENDING_S = 120
"""What a buyer's record allows it to live beyond that, for its way."""
KEPT_S = 3600
BODY_MAX = 16 * 1024
RETRY_AFTER_S = 30
STDERR = "stderr.txt"
ROBINHOOD = {
    "scheme": "exact",
    "network": "eip155:4663",
    "asset": "0x5FE9e0d8a5eA94ab9aD2e8eF3Cd2AcE5b0C3C5b4",
    "payTo": "0x6d1E1f1D4F8a4C1aEa6cB0D9E9eB3a0C1d2E3F40",
    "amount": str(PRICE),
    "maxTimeoutSeconds": DURATION_S + SPARE_S,
}
"""The other chain that the job is offered on. It names no EIP-712 domain."""
BAZAAR = {
    "bazaar": {
        "info": {"input": {"type": "http", "method": "POST", "body": {"command": "nvidia-smi"}}},
        "schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["input"]},
    }
}
MODES = {
    **SHARED_MODES,
    "no_gpu": "has no warm GPU: 503 with retry_after_seconds, before any payment is looked at",
    "too_many": "429 with retry_after_seconds",
    "lease_fails": "gets no machine for the job: it fails, and is not charged",
    "unconfirmed": "settles, and does not know that it did: charged is null",
    "unsettled": "does the work and cannot settle: charged is false",
    "foreign_token": "answers a paid order with the token of another job",
    "foreign_poll": "names a poll URL on another host",
    "claims_charged": "says charged: true, and never settles",
    "owes_refund": "takes the money, then gets no machine, and says so: refund_owed, as to who paid before the work",
    "settles_failed": "keeps the authorization of a failed job, to settle it when settle_kept() is called",
}


@dataclass
class PrismJob(StubJob):
    taken: TakenPayment | None = None
    token: str = ""
    answer: dict[str, Any] = field(default_factory=dict)


class Prism(Stub[PrismJob]):
    """kept: the payments of failed jobs, in the mode that keeps them."""

    NAME, BASE = "prism", "/x402"
    MODES = MODES
    RECORD: ClassVar = {
        "protocol": "prism",
        "settles": "after",
        "maxAuthorizationSeconds": DURATION_S + SPARE_S + SENDING_S,
        "basePricePerHour": "0.30",
        "reliabilityScore": 0.9,
        "supportedGpuTypes": ["A100", "L40S"],
    }

    kept: list[TakenPayment]

    def route(self, app: FastAPI) -> None:
        self.kept = []
        app.add_api_route("/x402/run", self.ask, methods=["GET"])
        app.add_api_route("/x402/run", self.order, methods=["POST"])
        app.add_api_route("/x402/jobs/{job_id}", self.show, methods=["GET"])
        app.add_api_route("/x402/healthz", lambda: {"status": "ok"}, methods=["GET"])

    def ask(self, request: Request) -> Response:
        payment = payment_header(request.headers)
        return self.desk.required(self._sale(), self.version(payment[0] if payment else 2))

    async def order(self, request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(self._order, body, request)

    def _order(self, body: bytes, request: Request) -> Response:
        if len(body) > BODY_MAX:
            return JSONResponse({"error": "too_large"}, 413)
        try:
            order = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            return JSONResponse({"error": "invalid_json"}, 400)
        if self.has("no_gpu") or self.has("too_many"):
            status = 429 if self.has("too_many") else 503
            return JSONResponse({"error": "no_warm_gpu", "retry_after_seconds": RETRY_AFTER_S}, status)
        sale, payment = self._sale(), payment_header(request.headers)
        if payment is None:
            return self.desk.required(sale, self.version(2))
        version, header = payment
        command = order.get("command") if isinstance(order, dict) else None
        if not isinstance(command, str) or not command:
            return JSONResponse({"error": "command_required"}, 400)
        try:
            taken = self.desk.take(header, version, sale)
        except PaymentRefused as error:
            return self.desk.required(sale, self.version(version), str(error))
        return self.sold(self._queue(command, taken))

    def _queue(self, command: str, taken: TakenPayment) -> Response:
        self._evict()
        payer = taken.payment.authorization.payer
        job = PrismJob(self.new_id(), command, payer, self.clock.now(), "queued", taken=taken, token=self.new_id())
        with self.lock:
            self.jobs[job.job_id] = job
            others = [other.token for other in self.jobs.values() if other is not job]
        # The two streams apart, as the agent on a leased machine gives them.
        task = Task(job.job_id, f"exec 2>{STDERR}\n{command}", DURATION_S, outputs=(STDERR,))
        self.bench.start(task, lambda: self._begin(job), lambda state: self._end(job, state))
        host = "https://elsewhere.example" if self.has("foreign_poll") else ""
        token = others[0] if self.has("foreign_token") and others else job.token
        answer = {"job_id": job.job_id, "status": "queued", "token": token, "poll": f"{host}/jobs/{job.job_id}"}
        return JSONResponse(answer, 202)

    def show(self, job_id: str, request: Request) -> Response:
        job = self.job(job_id)
        if job is None:
            return JSONResponse({"error": "job_not_found"}, 404)
        header = request.headers.get("authorization", "")
        bearer = header[7:].strip() if header.lower().startswith("bearer ") else None
        if (request.query_params.get("token") or bearer) != job.token:
            return JSONResponse({"error": "invalid_job_token"}, 401)
        assert job.taken
        with self.lock:
            view = {"job_id": job.job_id, "status": job.state, "payer": job.payer, **job.answer}
        return JSONResponse({**view, "network": job.taken.offer.network})

    def settle_kept(self) -> list[Paid]:
        """Takes the money for the failed jobs that were kept: what a thief does at the last second."""
        outcomes = [self.desk.settle(taken) for taken in self.kept]
        self.kept.clear()
        return [outcome for outcome in outcomes if isinstance(outcome, Paid)]

    def restart(self) -> None:
        super().restart()
        with self.lock:
            self.jobs.clear()
        self.desk.forget()

    def _sale(self) -> Sale:
        return Sale(
            self.price(PRICE),
            f"{self.base_url}/run",
            "One shell command on a rented GPU, charged only if it succeeds.",
            DURATION_S + SPARE_S,
            extra={"assetTransferMethod": "eip3009"},
            before=(ROBINHOOD,),
            extensions=self.extensions(BAZAAR),
            outlives=True,
        )

    def _begin(self, job: PrismJob) -> bool:
        with self.lock:
            job.state, job.started_at = "running", self.clock.now()
            if not (self.has("lease_fails") or self.has("owes_refund")):
                job.answer["lease_id"] = f"lease-{job.job_id[:8]}"
                return True
        self._fail(job, "no_offers")
        return False

    def _end(self, job: PrismJob, state: JobState) -> None:
        if state.exit_code is None:  # by its lease's end: the machine is gone, and with it the answer
            self._fail(job, state.reason or "lease_ended")
            return
        answer = {
            "exit_code": state.exit_code,
            "stdout": self.bench.output(job.job_id),
            "stderr": self.bench.file(job.job_id, STDERR),
            "finished_at": int(self.clock.now() * 1000),
        }
        charge = self._charge(job)
        with self.lock:
            job.state, job.ended_at = "completed", self.clock.now()
            job.answer |= {**answer, **charge}

    def _charge(self, job: PrismJob) -> dict[str, Any]:
        assert job.taken
        network = job.taken.offer.network
        if self.has("claims_charged"):
            return {"charged": True, "settlement": {"network": network, "transaction": "0x" + "ab" * 32}}
        if self.has("unsettled"):
            self.desk.release(job.taken)
            return {"charged": False, "settlement": {"network": network, "transaction": None, "error": "rpc_error"}}
        outcome = self.desk.settle(job.taken)
        if self.has("unconfirmed") or isinstance(outcome, Unknown):
            return {"charged": None, "settlement": {"error": "settlement_unconfirmed"}}
        if isinstance(outcome, Paid):
            return {"charged": True, "settlement": {"network": network, "transaction": outcome.tx}}
        return {"charged": False, "settlement": {"network": network, "transaction": None, "error": outcome.reason}}

    def _fail(self, job: PrismJob, error: str) -> None:
        assert job.taken
        if self.has("settles_failed"):
            self.kept.append(job.taken)
        elif self.has("owes_refund"):
            self._owe(job, error)
            return
        else:
            self.desk.release(job.taken)
        with self.lock:
            job.state, job.ended_at, job.error = "failed", self.clock.now(), error
            job.answer |= {
                "error": error,
                "charged": False,
                "note": "not charged: the authorization was never broadcast",
                "finished_at": int(self.clock.now() * 1000),
            }

    def _owe(self, job: PrismJob, error: str) -> None:
        assert job.taken
        self.desk.settle(job.taken)
        offer = job.taken.offer
        owed = {"to": job.payer, "amount": str(offer.amount), "network": offer.network}
        with self.lock:
            job.state, job.ended_at, job.error = "failed", self.clock.now(), error
            job.answer |= {"error": error, "refund_error": "no gas", "refund_owed": owed}

    def _evict(self) -> None:
        with self.lock:
            old = [job for job in self.jobs.values() if job.ended_at and self.clock.now() - job.ended_at > KEPT_S]
            for job in old:
                del self.jobs[job.job_id]
