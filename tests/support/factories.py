"""Well-formed values for tests that need no servers."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from gpuagent.core.context import Candidate, Context, PastJob
from gpuagent.core.model import Action, Authorization, Decision, Quote, Run, Settlement, Terms, Token, Vendor

NOW = 1_000.0
PAYER, PAYEE, ASSET = ("0x" + digit * 40 for digit in "abc")
TOKEN = Token("eip155:31337", ASSET, "USD Coin", "2")
VENDOR = Vendor(
    vendor_id="gpu_vendor_1",
    name="Budget GPUs",
    endpoint="http://127.0.0.1:4001",
    pay_to=PAYEE,
    network=TOKEN.network,
    asset=ASSET,
    secret_env="GPU_VENDOR_SECRET",
    base_price_per_hour=1_400_000,
    reliability=0.86,
    gpu_types=("A100",),
)
TERMS = Terms("exact", TOKEN.network, ASSET, "1400000", PAYEE, 300, {"name": "USD Coin", "version": "2"})
WIRE_TERMS = {
    "scheme": "exact",
    "network": TOKEN.network,
    "asset": ASSET,
    "amount": "1400000",
    "payTo": PAYEE,
    "maxTimeoutSeconds": 300,
    "extra": {"name": "USD Coin", "version": "2"},
}
"""TERMS as a 402 has them; below, a vendor's answers about a quote and a job's status."""
WIRE_QUOTE = {
    "vendorJobTemplateId": "quote-1",
    "priceEstimate": 1.4,
    "currency": "USDC",
    "etaMinutes": 60,
    "expiresAt": "2030-01-01T00:00:00+00:00",
    "payTo": PAYEE,
    "network": TOKEN.network,
    "asset": ASSET,
}
WIRE_STATUS = {"status": "running", "progress": 0.5, "logs": ["a"], "finalMetrics": {"loss": 0.1}}
SETTLEMENT = Settlement("0x" + "d" * 64, 7, 1_000)
RUN = Run(
    run_id="a" * 24,
    user_id="local",
    goal="Fine-tune tiny-llm",
    budget=5_000_000,
    gpu_type="A100",
    max_hours=Decimal(1),
    planner="stub",
    payer=PAYER,
    created_at=1_000.0,
    network=TOKEN.network,
)


def quote(amount: int = 1_400_000, vendor_id: str = "gpu_vendor_1", **changes: Any) -> Quote:
    default = Quote(vendor_id, "quote-1", amount, PAYEE, TOKEN.network, ASSET, 10_000.0, 60.0, "A100", Decimal(1))
    return replace(default, **changes)


def authorization(amount: int = 1_400_000, **changes: Any) -> Authorization:
    default = Authorization(PAYER, PAYEE, amount, TOKEN.network, ASSET, "0x" + "e" * 64, 2_000, 0)
    return replace(default, **changes)


def decision(vendor_id: str = "gpu_vendor_1", **changes: Any) -> Decision:
    return replace(Decision(Action.START_JOB, "because", vendor_id, Decimal(1)), **changes)


def candidate(vendor_id: str, amount: int | None, reliability: float | None = 0.9, **changes: Any) -> Candidate:
    problem = "" if amount else f"{vendor_id} is down"
    default = Candidate(vendor_id, vendor_id, amount or 1, reliability, amount, 10_000.0, 3600.0, problem)
    return replace(default, **changes)


def context(*candidates: Candidate, **changes: Any) -> Context:
    default = Context(
        goal="goal",
        gpu_type="A100",
        hours=Decimal(1),
        budget=5_000_000,
        available=5_000_000,
        now=NOW,
        deadline=None,
        decisions_left=8,
        waits=0,
        job_s=3600.0,
        candidates=candidates,
    )
    return replace(default, **changes)


def past_job(vendor_id: str, succeeded: bool, jobs_ago: float = 1, amount: int = 1_400_000, **changes: Any) -> PastJob:
    """A finished job that began so many job lengths before NOW."""
    began_at = NOW - jobs_ago * 3600
    default = PastJob(vendor_id, False, succeeded, amount, amount, Decimal(1), began_at, began_at + 3600)
    return replace(default, **changes)


def history(vendor_id: str, outcomes: str, amount: int = 1_400_000) -> tuple[PastJob, ...]:
    """Finished jobs, one after the other, oldest first, the last one just over: 1 succeeded, 0 failed."""
    ages = range(len(outcomes), 0, -1)
    return tuple(past_job(vendor_id, outcome == "1", age, amount) for outcome, age in zip(outcomes, ages, strict=True))
