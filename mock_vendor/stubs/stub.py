"""What every stub has: its price and payee, jobs in memory, a clock that can be turned, and switches for its faults."""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from eth_account import Account as Keys
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.responses import Response
from web3 import Web3

from mock_vendor.stubs.bench import Bench
from mock_vendor.stubs.payments import PaymentDesk, payment_header
from mock_vendor.stubs.till import Clock, Cut, Market, Till
from seller.runners import Runner

STRANGER = "0x000000000000000000000000000000000000dEaD"
LARGE = 14 * 1024
"""Bytes of an extension that is nothing but large."""
SHARED_MODES = {
    "price_up": "asks for twice the price from now on",
    "other_payee": "asks for the payment to another payee",
    "v1_only": "answers its 402 in version 1 alone, whatever is asked",
    "large_extension": f"has an extension of {LARGE} bytes in its 402",
    "lose_answer": "takes a payment, does what was bought, and cuts the connection",
    "down": "answers 503 to everything",
    "forget_jobs": "knows none of its jobs",
}


@dataclass
class StubJob:
    """What all stubs know of a job. started_at, ended_at: Unix seconds of the stub's clock."""

    job_id: str
    command: str
    payer: str
    created_at: float
    state: str
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    error: str = ""


Job = TypeVar("Job", bound=StubJob)


class Stub(Generic[Job]):
    """A seller of one protocol. modes: the switches that are on, of MODES. price_factor: on all its prices."""

    NAME: ClassVar[str]
    BASE: ClassVar[str] = ""
    """The path that its endpoint ends with."""
    MODES: ClassVar[Mapping[str, str]]
    RECORD: ClassVar[Mapping[str, Any]]
    """Of its entry in a vendors file, what is not its address, payee and network."""

    def __init__(self, market: Market, till: Till, runner: Runner, clock: Clock | None = None) -> None:
        self.market, self.clock = market, clock or Clock()
        self.bench = Bench(runner, self.clock)
        self.desk = PaymentDesk(till, market, lambda: self.pay_to)
        self.jobs: dict[str, Job] = {}
        self.lock = threading.RLock()
        self.base_url = ""
        """Where buyers reach it: set once it is served."""
        self.payments: list[str] = []
        """Every payment header that was ever sent here."""
        self._modes: set[str] = set()

    @property
    def recorded_pay_to(self) -> str:
        """Its own payee. The key is known to everybody, as those of a practice chain are."""
        key = Web3.keccak(text=f"gpuagent practice stub {self.NAME}")
        return str(Keys.from_key(key).address)

    @property
    def pay_to(self) -> str:
        return STRANGER if self.has("other_payee") else self.recorded_pay_to

    def has(self, mode: str) -> bool:
        if mode not in self.MODES and mode not in SHARED_MODES:
            raise ValueError(f"{self.NAME} has no mode {mode}")
        return mode in self._modes

    def switch(self, *modes: str) -> None:
        """Turns these modes on and all others off. Raises ValueError for one that it has not."""
        for mode in modes:
            self.has(mode)
        self._modes = set(modes)

    def price(self, amount: int) -> int:
        return amount * 2 if self.has("price_up") else amount

    def version(self, asked: int) -> int:
        return 1 if self.has("v1_only") else asked

    def extensions(self, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
        large = {"notes": {"info": {"text": "x" * LARGE}}} if self.has("large_extension") else {}
        return {**(own or {}), **large}

    def job(self, job_id: str) -> Job | None:
        with self.lock:
            return None if self.has("forget_jobs") else self.jobs.get(job_id)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def sold(self, answer: Response) -> Response:
        """The answer to a payment that was taken, on its way out."""
        return Cut() if self.has("lose_answer") else answer

    def restart(self) -> None:
        """Ends what runs, as the seller's process would, and forgets what is in its memory alone."""
        self.bench.forget()

    def app(self) -> FastAPI:
        """Its API."""
        app = FastAPI(title=f"{self.NAME} stub", openapi_url=None, dependencies=[Depends(self._receive)])
        self.route(app)
        return app

    def _receive(self, request: Request) -> None:
        header = payment_header(request.headers)
        if header:
            self.payments.append(header[1])
        if self.has("down"):
            raise HTTPException(503, "the seller is down")

    def route(self, app: FastAPI) -> None:
        """Adds the routes."""
        raise NotImplementedError
