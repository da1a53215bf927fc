"""The points at which a ticker can be made to die by SIGKILL, and the ports that die there."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx

from gpuagent.core.model import (
    OWN_PROTOCOL,
    Authorization,
    Authorized,
    Job,
    Observation,
    Run,
    Settled,
    Submitted,
    Terms,
    Vendor,
)
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Chain, Gas
from gpuagent.core.ports.store import Store
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.ports.wallet import Wallet
from gpuagent.core.work import Completed, Failed, Underway
from tests.support.crash.file_points import DyingFileApi, DyingFiles, reached_after, reached_before

POINTS = (
    "after_reserve",
    "before_sign",
    "after_sign",
    "before_store",
    "after_store",
    "after_send",
    "after_response",
    "after_settled",
    "after_progress",
)
LATER_POINTS = ("after_begun", "after_ended_unpaid", "before_cancel", "after_cancel")
"""Of jobs that are paid after the work, and of payments that are cancelled."""
RECEIVED, RECEIVED_WITHIN_S = "/stubs/received", 60


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingWallet:
    """A wallet that dies before or after it signs."""

    def __init__(self, inner: Wallet, point: str) -> None:
        self.inner, self.point = inner, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        if self.point == "before_sign":
            die()
        header = self.inner.sign(authorization, terms, identifier)
        if self.point == "after_sign":
            die()
        return header

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        if self.point == "before_cancel":
            die()
        return self.inner.cancel(authorization, gas)


class DyingChain:
    """A chain that a process dies at once it has sent a transaction."""

    def __init__(self, inner: Chain, point: str) -> None:
        self.inner, self.point = inner, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def send(self, transaction: str) -> str:
        sent = self.inner.send(transaction)
        if self.point == "after_cancel":
            die()
        return sent


class DyingStore:
    """A store that dies before or once a save that brings a job into some state is acknowledged."""

    def __init__(self, inner: Store, point: str) -> None:
        self.inner, self.point = inner, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        if self.point == "before_store" and any(isinstance(job, Authorized) for job in after.jobs):
            die()
        if self.point in reached_before(before.jobs, after.jobs):
            die()
        run = self.inner.save(before, after, observations, at)
        reached = {
            "after_reserve": len(after.jobs) > len(before.jobs),
            "after_store": any(isinstance(job, Authorized) for job in after.jobs),
            "after_settled": _newly_settled(before.jobs, after.jobs),
            "after_begun": _unpaid(after.jobs, Underway) > _unpaid(before.jobs, Underway),
            "after_ended_unpaid": _unpaid(after.jobs, Completed, Failed) > _unpaid(before.jobs, Completed, Failed),
            "after_progress": any(observation.type == "job_log" for observation in observations),
        }
        if reached.get(self.point) or self.point in reached_after(before.jobs, after.jobs):
            die()
        return run


class DyingVendorApi:
    """A vendor client that dies once the vendor has received the payment, or has answered it."""

    def __init__(self, inner: VendorApi, point: str, environ: dict[str, str]) -> None:
        self.inner, self.point, self.environ = inner, point, environ

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        if self.point == "after_send":
            threading.Thread(target=self.inner.submit, args=(vendor, job), daemon=True).start()
            self._wait_until_received(vendor, job.header)
            die()
        answer = self.inner.submit(vendor, job)
        if self.point == "after_response":
            die()
        return answer

    def _wait_until_received(self, vendor: Vendor, header: str) -> None:
        url, path = ("VENDOR_URL", "/mock/purchases") if vendor.protocol == OWN_PROTOCOL else ("STUBS_URL", RECEIVED)
        token = {"Authorization": f"Bearer {self.environ['GPU_VENDOR_SECRET']}"}
        with httpx.Client(base_url=self.environ[url], headers=token, timeout=60) as client:
            ends_at = time.monotonic() + RECEIVED_WITHIN_S
            with suppress(httpx.TransportError):  # the vendor itself was killed
                while header not in client.get(path).text and time.monotonic() < ends_at:
                    pass  # a vendor that is down receives nothing, and the ticker dies all the same


def dying(ports: Ports, point: str, environ: dict[str, str]) -> Ports:
    """The same ports, but the process dies by SIGKILL at the point."""
    return replace(
        ports,
        wallet=DyingWallet(ports.wallet, point),
        store=DyingStore(ports.store, point),
        chain=DyingChain(ports.chain, point),
        vendor_api=DyingVendorApi(DyingFileApi(ports.vendor_api, point, die), point, environ),
        files=DyingFiles(ports.files, point, die),
    )


def _newly_settled(before: Sequence[Job], after: Sequence[Job]) -> bool:
    return any(isinstance(job, Settled) for job in after) and not any(isinstance(job, Settled) for job in before)


def _unpaid(jobs: Sequence[Job], *kinds: type) -> int:
    """The jobs at vendors that are paid after the work, whose work is such."""
    return sum(isinstance(job, Authorized) and isinstance(job.work, kinds) for job in jobs)
