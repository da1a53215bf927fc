"""What the doctor looks at, part by part. A part that could not be opened is None, and is not looked at."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gpuagent import wiring
from gpuagent.core import policy as rules_of
from gpuagent.core.model import Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.ports import CANCEL_GAS, Clock
from gpuagent.doctor import conformance
from gpuagent.errors import GpuAgentError
from gpuagent.settings import Settings

if TYPE_CHECKING:
    from gpuagent.core.ports import Node
    from gpuagent.wiring import Database

MONGODB_DRIFT_MAX_S = 10.0
CHAIN_AHEAD_MAX_S, CHAIN_BEHIND_MAX_S = 30.0, 120.0
"""A block's time is when it was made: on Base every 2 s. One that is ahead of us means that our clock is slow."""
VENDORS_AT_ONCE = 8


class Status(StrEnum):
    OK = "ok"
    ADVICE = "advice"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """said: what was found. fix: what to do about it, "" where there is nothing to do."""

    name: str
    status: Status
    said: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. The parts that could not be opened are None, and their own checks have said why."""

    settings: Settings
    clock: Clock
    payer: str = ""
    database: "Database | None" = None
    chain: "Node | None" = None


def policy(patient: Patient) -> Iterator[Check]:
    if not patient.database:
        return
    rules = patient.database.store.policy()
    caps = [(name, getattr(rules, name)) for name in rules_of.LIMITS if getattr(rules, name) is not None]
    shown = ", ".join(f"{name.replace('_', ' ')} {show_usd(cap)}" for name, cap in caps)
    if rules.per_payment is None or rules.wallet_per_day is None:
        said = f"version {rules.version} has no cap on {'a payment' if rules.per_payment is None else 'a day'}"
        yield Check("policy", Status.ADVICE, said, "`gpuagent policy set --per-payment USD --wallet-per-day USD`")
    else:
        yield Check("policy", Status.OK, f"version {rules.version}: {shown}")
    if stopped := rules_of.halt(rules, patient.payer):
        said = f"{stopped.by} halted wallet {stopped.name}: {stopped.why}"
        yield Check("halt", Status.FAILED, said, f"`gpuagent policy resume wallet {stopped.name}` ends it")


def planner(patient: Patient) -> Iterator[Check]:
    """Set up, with a key and a price. It is not asked anything: that may cost."""
    name = patient.settings.planner
    try:
        wiring.named_planner(patient.settings, name)
    except GpuAgentError as error:
        yield Check("planner", Status.FAILED, str(error), "set what it needs, or PLANNER_MODE=stub")
        return
    yield Check("planner", Status.OK, f"{name}{', not asked' if name == 'llm' else ''}")


def money(patient: Patient) -> Iterator[Check]:
    if not (patient.chain and patient.payer):
        return
    balance = patient.chain.head(patient.payer).balance
    if balance > 0:
        yield Check("balance", Status.OK, f"{show_usd(balance)} of {patient.chain.token.name}")
    else:
        said = f"{patient.payer} holds no {patient.chain.token.name}"
        yield Check("balance", Status.FAILED, said, "`gpuagent wallet fund-info` says what to send where")
    gas = patient.chain.gas(patient.payer)
    enough = gas.balance >= CANCEL_GAS * gas.max_fee
    said = f"{Decimal(gas.balance).scaleb(-18).normalize():f} ETH: paying needs none"
    if enough:
        yield Check("gas", Status.OK, said)
    else:
        said += ", but what is no longer wanted cannot be cancelled, and dies by itself in two minutes"
        yield Check("gas", Status.ADVICE, said, "send it a little ETH on this network")


def vendors(patient: Patient) -> Iterator[Check]:
    if not patient.database:
        return
    network = patient.settings.network
    found = [one for one in patient.database.store.vendors() if one.enabled and one.network == network]
    if not found:
        said = f"no enabled vendor is paid on {network}"
        yield Check("vendors", Status.FAILED, said, "`gpuagent vendor seed FILE` records them")
        return
    with ThreadPoolExecutor(VENDORS_AT_ONCE) as pool:
        yield from pool.map(lambda one: _vendor(one, patient.settings), found)


def _vendor(vendor: Vendor, current: Settings) -> Check:
    """Conformance, and whether it still wants to be paid as it was recorded. Pays nothing."""
    name, gpu = f"vendor {vendor.vendor_id}", vendor.gpu_types[0] if vendor.gpu_types else ""
    fix = f"`gpuagent vendor check {vendor.endpoint} --vendor-id {vendor.vendor_id}` shows all of it"
    try:
        with wiring.open_vendor_api(current.environ) as (vendor_api, http):
            token = current.environ.get(vendor.secret_env, "")
            findings = conformance.check(vendor, gpu, vendor_api, http, token)
            wrong = [f"{one.check}: {one.said}" for one in findings if not one.passed]
            quote = None if wrong else vendor_api.quote(vendor, "doctor", gpu, conformance.HOURS)
    except GpuAgentError as error:
        return Check(name, Status.FAILED, str(error), fix)
    if quote is None:
        return Check(name, Status.FAILED, f"not as agreed: {'; '.join(wrong)}", fix)
    named, recorded = ((one.pay_to.lower(), one.network, one.asset.lower()) for one in (quote, vendor))
    if named != recorded:
        said = f"wants {quote.pay_to} paid with {quote.asset} on {quote.network}, which is not what is recorded"
        return Check(
            name, Status.FAILED, said, "ask the vendor by another way; `gpuagent vendor seed` records a change"
        )
    if vendor.asset.lower() != current.token.address.lower():
        return Check(
            name, Status.FAILED, f"is paid with {vendor.asset}, which is not ours", "disable it, or correct it"
        )
    return Check(name, Status.OK, f"conforms; {show_usd(quote.amount)} for {conformance.HOURS} h of {gpu}")


def clocks(patient: Patient) -> Iterator[Check]:
    fix = "set the clock of this machine by NTP: by it quotes lapse and workers lease"
    if patient.database:
        ahead = patient.database.reads.server().clock - patient.clock.now()
        wrong = abs(ahead) > MONGODB_DRIFT_MAX_S
        yield Check("clock and MongoDB", *_drift(ahead, wrong, fix))
    if patient.chain:
        ahead = patient.chain.head(patient.payer or patient.chain.token.address).time - patient.clock.now()
        wrong = not -CHAIN_BEHIND_MAX_S <= ahead <= CHAIN_AHEAD_MAX_S
        yield Check("clock and chain", *_drift(ahead, wrong, f"{fix}; or the node has stopped: use another"))


def _drift(ahead: float, wrong: bool, fix: str) -> tuple[Status, str, str]:
    said = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    return (Status.FAILED, said, fix) if wrong else (Status.OK, said, "")
