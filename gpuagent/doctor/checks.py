"""The doctor's checks, part by part. A part that could not be opened is None, and is not checked."""

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gpuagent import wiring
from gpuagent.agent.price_check import price_quote
from gpuagent.core import policy as rules_of
from gpuagent.core.clocks import APART_MAX_S
from gpuagent.core.model import (
    OWN_PROTOCOL,
    Vendor,
)
from gpuagent.core.money import show_usd
from gpuagent.core.ports.chain import CANCEL_GAS
from gpuagent.core.ports.clock import Clock
from gpuagent.core.terms import is_payee
from gpuagent.doctor import conformance
from gpuagent.errors import ConfigError, GpuAgentError, StoreError
from gpuagent.settings import Settings

if TYPE_CHECKING:
    from gpuagent.core.ports.chain import Node
    from gpuagent.wiring.database import Database

MONGODB_DRIFT_MAX_S = 10.0
CHAIN_AHEAD_MAX_S, CHAIN_BEHIND_MAX_S = 30.0, APART_MAX_S
"""A block's time is when it was made: on Base every 2 s. One that is ahead of us means that our clock is slow."""
VENDORS_AT_ONCE = 8
LOGS_SPAN_MIN = 500
"""Blocks whose logs a node shows at once: with fewer the books are read slowly."""
BASE_BLOCKS_A_DAY = 43_200


class Status(StrEnum):
    OK = "ok"
    ADVICE = "advice"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. detail: what is the case. fix: what to do about it, "" where there is nothing to do."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "status": self.status, "said": self.detail, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class Installation:
    """The parts of an installation. Those that could not be opened are None; a failed check says why."""

    settings: Settings
    clock: Clock
    payer: str = ""
    database: "Database | None" = None
    chain: "Node | None" = None


def policy(installation: Installation) -> Iterator[Check]:
    if not installation.database:
        return
    rules = installation.database.store.policy()
    caps = {limit.label: limit.of(rules) for limit in rules_of.LIMITS}
    limits = ", ".join(f"{label} {show_usd(cap)}" for label, cap in caps.items() if cap is not None)
    if rules.per_payment is None or rules.wallet_per_day is None:
        detail = f"version {rules.version} has no cap on {'a payment' if rules.per_payment is None else 'a day'}"
        yield Check("policy", Status.ADVICE, detail, "`gpuagent policy set --per-payment USD --wallet-per-day USD`")
    else:
        yield Check("policy", Status.OK, f"version {rules.version}: {limits}")
    if halt := rules_of.halt(rules, installation.payer):
        yield Check("halt", Status.FAILED, halt.text, f"`{halt.resume_command}` ends it")


def files(installation: Installation) -> Iterator[Check]:
    """Tries the file store: writes, reads and deletes a line that it never held before."""
    if not installation.database:
        return
    place = installation.settings.environ.get("FILE_STORE") or f"GridFS in {installation.database.name}"
    content = f"gpuagent doctor {secrets.token_hex(16)}".encode()
    sha256 = hashlib.sha256(content).hexdigest()
    problem = ""
    try:
        with wiring.open_files(installation.settings, installation.database) as store:
            store.extend(sha256, 0, [content], len(content))
            store.finish(sha256, sha256, len(content))
            if b"".join(store.read(sha256)) != content or not store.delete(sha256):
                problem = "it does not give back what was written"
    except (ConfigError, StoreError) as error:
        problem = str(error)
    if problem:
        fix = "it takes a user, or a key, that may write, read and delete there: docs/reference/configuration.md#files"
        yield Check("file store", Status.FAILED, f"{place}: {problem}", fix)
    else:
        yield Check("file store", Status.OK, f"{place}: wrote, read and deleted {len(content)} bytes")


def planner(installation: Installation) -> Iterator[Check]:
    """Checks that the planner is set up, with a key and a price. It is not asked anything: that may cost."""
    name = installation.settings.planner
    try:
        wiring.named_planner(installation.settings, name)
    except GpuAgentError as error:
        yield Check("planner", Status.FAILED, str(error), "set what it needs, or PLANNER_MODE=stub")
        return
    yield Check("planner", Status.OK, f"{name}{', not asked' if name == 'llm' else ''}")


def money(installation: Installation) -> Iterator[Check]:
    if not (installation.chain and installation.payer):
        return
    balance = installation.chain.head(installation.payer).balance
    if balance > 0:
        yield Check("balance", Status.OK, f"{show_usd(balance)} of {installation.chain.token.name}")
    else:
        detail = f"{installation.payer} holds no {installation.chain.token.name}"
        yield Check("balance", Status.FAILED, detail, "`gpuagent wallet fund-info` says what to send where")
    gas = installation.chain.gas(installation.payer)
    enough = gas.balance >= CANCEL_GAS * gas.max_fee
    detail = f"{Decimal(gas.balance).scaleb(-18).normalize():f} ETH: paying needs none"
    if enough:
        yield Check("gas", Status.OK, detail)
    else:
        detail += ", but without gas no payment can be cancelled; an unused one expires by itself in two minutes"
        yield Check("gas", Status.ADVICE, detail, "send it a little ETH on this network")


def vendors(installation: Installation) -> Iterator[Check]:
    if not installation.database:
        return
    network = installation.settings.network
    candidates = [
        vendor for vendor in installation.database.store.vendors() if vendor.enabled and vendor.network == network
    ]
    if not candidates:
        detail = f"no enabled vendor is paid on {network}"
        yield Check("vendors", Status.FAILED, detail, "`gpuagent vendor seed FILE` records them")
        return
    with ThreadPoolExecutor(VENDORS_AT_ONCE) as pool:
        yield from pool.map(lambda vendor: _vendor(vendor, installation.settings), candidates)


def _vendor(vendor: Vendor, current: Settings) -> Check:
    """Conformance of a vendor, and whether it still wants to be paid as recorded. Pays nothing.

    One without accounts, or of another protocol than ours, promises none of what conformance tries: it is asked its
    price alone.
    """
    name, gpu = f"vendor {vendor.vendor_id}", vendor.gpu_types[0] if vendor.gpu_types else ""
    fix = f"`gpuagent vendor check {vendor.endpoint} --vendor-id {vendor.vendor_id}` shows all of it"
    try:
        with wiring.open_vendor_api(current.environ) as (vendor_api, http):
            token = current.environ.get(vendor.secret_env, "")
            is_ours = vendor.protocol == OWN_PROTOCOL and bool(vendor.secret_env)
            results = conformance.check(vendor, gpu, vendor_api, http, token) if is_ours else []
            wrong = [f"{result.check}: {result.detail}" for result in results if not result.passed]
            quote = None if wrong else price_quote(vendor_api, vendor, gpu, conformance.HOURS)
    except GpuAgentError as error:
        return Check(name, Status.FAILED, str(error), fix)
    if quote is None:
        return Check(name, Status.FAILED, f"not as agreed: {'; '.join(wrong)}", fix)
    if not is_payee(quote, vendor):
        detail = f"wants {quote.pay_to} paid with {quote.asset} on {quote.network}, which is not what is recorded"
        return Check(
            name, Status.FAILED, detail, "ask the vendor by another way; `gpuagent vendor seed` records a change"
        )
    if vendor.asset.lower() != current.token.address.lower():
        return Check(
            name, Status.FAILED, f"is paid with {vendor.asset}, not with our token", "disable it, or correct it"
        )
    state = "conforms" if is_ours else f"answers by {vendor.protocol}"
    return Check(name, Status.OK, f"{state}; {show_usd(quote.amount)} for {conformance.HOURS} h of {gpu}")


def clocks(installation: Installation) -> Iterator[Check]:
    fix = f"set the clock of this machine by NTP: nothing is signed by clocks that differ by {APART_MAX_S:.0f} s"
    if installation.database:
        ahead = installation.database.reads.server().clock - installation.clock.now()
        wrong = abs(ahead) > MONGODB_DRIFT_MAX_S
        yield Check("clock and MongoDB", *_drift(ahead, wrong, fix))
    if installation.chain:
        ahead = (
            installation.chain.head(installation.payer or installation.chain.token.address).time
            - installation.clock.now()
        )
        wrong = not -CHAIN_BEHIND_MAX_S <= ahead <= CHAIN_AHEAD_MAX_S
        yield Check("clock and chain", *_drift(ahead, wrong, f"{fix}; or the node has stopped: use another"))


def _drift(ahead: float, wrong: bool, fix: str) -> tuple[Status, str, str]:
    detail = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    return (Status.FAILED, detail, fix) if wrong else (Status.OK, detail, "")
