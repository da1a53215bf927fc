"""A ticker that dies: `python -m tests.support.ticker RUN_ID POINT AHEAD_S` kills itself at the point."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx

from gpuagent import settings, wiring
from gpuagent.core.model import Authorization, Authorized, Job, Observation, Run, Settled, Terms, Vendor
from gpuagent.core.ports import Ports, Store, VendorApi, Wallet
from gpuagent.tick import tick
from tests.support.world import TurnableClock

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
RECEIVED_WITHIN_S = 10


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingWallet:
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


class DyingStore:
    """Dies before or once a save that brings a job into some state is acknowledged."""

    def __init__(self, inner: Store, point: str) -> None:
        self.inner, self.point = inner, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def save(self, before: Run, after: Run, seen: Sequence[Observation], at: float) -> Run:
        if self.point == "before_store" and any(isinstance(job, Authorized) for job in after.jobs):
            die()
        saved = self.inner.save(before, after, seen, at)
        reached = {
            "after_reserve": len(after.jobs) > len(before.jobs),
            "after_store": any(isinstance(job, Authorized) for job in after.jobs),
            "after_settled": _newly_settled(before.jobs, after.jobs),
            "after_progress": any(one.type == "job_log" for one in seen),
        }
        if reached.get(self.point):
            die()
        return saved


class DyingVendorApi:
    def __init__(self, inner: VendorApi, point: str, environ: dict[str, str]) -> None:
        self.inner, self.point, self.environ = inner, point, environ

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> str:
        if self.point == "after_send":
            threading.Thread(target=self.inner.submit, args=(vendor, job), daemon=True).start()
            self._until_received(job.header)
            die()
        named = self.inner.submit(vendor, job)
        if self.point == "after_response":
            die()
        return named

    def _until_received(self, header: str) -> None:
        token = {"Authorization": f"Bearer {self.environ['GPU_VENDOR_SECRET']}"}
        with httpx.Client(base_url=self.environ["VENDOR_URL"], headers=token, timeout=10) as client:
            ends_at = time.monotonic() + RECEIVED_WITHIN_S
            while header not in client.get("/mock/purchases").text and time.monotonic() < ends_at:
                pass


def _newly_settled(before: Sequence[Job], after: Sequence[Job]) -> bool:
    return any(isinstance(job, Settled) for job in after) and not any(isinstance(job, Settled) for job in before)


def dying(ports: Ports, point: str, environ: dict[str, str]) -> Ports:
    """The same ports, but the process dies by SIGKILL at the point."""
    return replace(
        ports,
        wallet=DyingWallet(ports.wallet, point),
        store=DyingStore(ports.store, point),
        vendor_api=DyingVendorApi(ports.vendor_api, point, environ),
    )


def main(run_id: str, point: str, ahead_s: str) -> None:
    environ = dict(os.environ)
    with wiring.open_agent(settings.read(environ)) as agent:
        ports = replace(agent.ports, clock=TurnableClock(float(ahead_s)))
        tick(run_id, dying(ports, point, environ))


if __name__ == "__main__":
    main(*sys.argv[1:])
