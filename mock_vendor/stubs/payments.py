"""What the stubs share of x402: offers in both versions, payments out of either header, their settlement."""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse
from x402.schemas import PaymentRequirements

from mock_vendor.stubs.till import (
    ChainUnavailable,
    Dead,
    FacilitatorUnavailable,
    MalformedPayment,
    Market,
    Paid,
    Payment,
    Till,
    Unknown,
    read_payment,
    rpc,
)

V1_NAMES = {"eip155:8453": "base", "eip155:84532": "base-sepolia", "eip155:31337": "local"}
"""Version 1 names chains, and the practice chain is named here. One without a name stays as in version 2."""
V1_HEADER, V2_HEADER = "x-payment", "payment-signature"
BLOCK_S = 2
"""By how much the clock of a seller on a public chain is ahead of its newest block, which buyers date by."""


@dataclass(frozen=True)
class Sale:
    """What is on offer. amount: atomic units. timeout_s: how long the authorization is to live.

    extra: facts beside the token's name and version. decoys: further `accepts`, in the terms of version 2; those in
    `before` come before ours. extensions: of the 402, in version 2. outlives: whether an authorization is to live for
    all of timeout_s from when it comes.
    """

    amount: int
    url: str
    description: str
    timeout_s: int
    extra: Mapping[str, str] = field(default_factory=dict)
    before: tuple[Mapping[str, Any], ...] = ()
    after: tuple[Mapping[str, Any], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    outlives: bool = False


class PaymentRefused(Exception):
    """A payment that is not taken: the reason, as the 402 that answers it names it."""


@dataclass(frozen=True)
class TakenPayment:
    """A payment that is good, and the offer that it was held against. version: of x402, that the buyer speaks."""

    payment: Payment
    offer: PaymentRequirements
    version: int

    def receipt(self, paid: Paid) -> dict[str, str]:
        """The header that tells of the settlement."""
        payer, network = self.payment.authorization.payer, self.offer.network
        answer = {"success": True, "transaction": paid.tx, "network": network, "payer": payer}
        name = "PAYMENT-RESPONSE" if self.version == 2 else "X-PAYMENT-RESPONSE"
        return {name: base64.b64encode(json.dumps(answer).encode()).decode()}


class PaymentDesk:
    """Takes payments for one stub, each authorization once. pay_to: asked for each time, as a hostile seller would."""

    def __init__(self, till: Till, market: Market, pay_to: Callable[[], str]) -> None:
        self._till, self._market, self._pay_to = till, market, pay_to
        self._reserved: set[str] = set()
        self._lock = threading.Lock()

    def offer(self, sale: Sale) -> PaymentRequirements:
        offer = self._till.offer(sale.amount, self._pay_to())
        extra = {**(offer.extra or {}), **sale.extra}
        return offer.model_copy(update={"max_timeout_seconds": sale.timeout_s, "extra": extra})

    def required(self, sale: Sale, version: int = 2, error: str = "", *, body: object = None) -> JSONResponse:
        """A 402. body: of version 2, None for the same as in its header."""
        ours = self.offer(sale).model_dump(mode="json", by_alias=True, exclude_none=True)
        accepts = [*sale.before, ours, *sale.after]
        why = {"error": error} if error else {}
        if version == 1:
            return JSONResponse({"x402Version": 1, **why, "accepts": [_in_v1(entry, sale) for entry in accepts]}, 402)
        resource = {"url": sale.url, "description": sale.description, "mimeType": "application/json"}
        required = {"x402Version": 2, **why, "resource": resource, "accepts": accepts}
        if sale.extensions:
            required["extensions"] = dict(sale.extensions)
        header = base64.b64encode(json.dumps(required).encode()).decode()
        return JSONResponse(required if body is None else body, 402, {"PAYMENT-REQUIRED": header})

    def take(self, header: str, version: int, sale: Sale) -> TakenPayment:
        """The payment in a header, verified and reserved: none that repeats it is taken. Raises PaymentRefused."""
        offer = self.offer(sale)
        try:
            payment = read_payment(header if version == 2 else _as_v2(header, offer))
            verdict = self._till.look_up(payment)
            objection = self._till.objection(payment, offer)
        except MalformedPayment as error:
            raise PaymentRefused(f"malformed_payment: {error}") from None
        except (ChainUnavailable, FacilitatorUnavailable, OSError) as error:
            raise PaymentRefused(f"verification_error: {error}") from None
        if objection:
            raise PaymentRefused(objection)
        if sale.outlives and payment.authorization.valid_before < self._now() + sale.timeout_s:
            raise PaymentRefused("invalid_exact_evm_payload_authorization_valid_before")
        with self._lock:
            if payment.authorization.nonce in self._reserved or isinstance(verdict, Paid | Dead):
                raise PaymentRefused("payment_reused")
            self._reserved.add(payment.authorization.nonce)
        return TakenPayment(payment, offer, version)

    def release(self, taken: TakenPayment) -> None:
        """Lets the buyer use an authorization again that was not broadcast."""
        with self._lock:
            self._reserved.discard(taken.payment.authorization.nonce)

    def settle(self, taken: TakenPayment) -> Paid | Dead | Unknown:
        return self._till.settle(taken.payment, taken.offer, first=True)

    def _now(self) -> int:
        """The seller's time, in seconds of the chain's clock."""
        block = rpc(self._market.rpc_url, "eth_getBlockByNumber", "latest", False)
        return int(block["timestamp"], 16) + BLOCK_S

    def forget(self) -> None:
        """As a restart does to what is in memory alone."""
        with self._lock:
            self._reserved.clear()


def payment_header(headers: Mapping[str, str]) -> tuple[int, str] | None:
    """The version that a request speaks, and its payment; None without one."""
    for version, name in ((2, V2_HEADER), (1, V1_HEADER)):
        if name in headers:
            return version, headers[name]
    return None


def v1_network(network: str) -> str:
    return V1_NAMES.get(network, network)


def _in_v1(entry: Mapping[str, Any], sale: Sale) -> dict[str, Any]:
    terms = {name: value for name, value in entry.items() if name not in ("amount", "network")}
    return {
        **terms,
        "network": v1_network(entry["network"]),
        "maxAmountRequired": entry["amount"],
        "resource": sale.url,
        "description": sale.description,
        "mimeType": "application/json",
    }


def _as_v2(header: str, offer: PaymentRequirements) -> str:
    """A payment of version 1 in the terms of version 2: it carries the same authorization. Raises MalformedPayment."""
    try:
        content = json.loads(base64.b64decode(header, validate=True))
    except (ValueError, RecursionError):
        raise MalformedPayment("X-PAYMENT is not base64 of JSON") from None
    if not isinstance(content, dict) or content.get("x402Version") != 1:
        raise MalformedPayment("X-PAYMENT is not an x402 payment of version 1")
    if content.get("scheme") != "exact" or content.get("network") != v1_network(offer.network):
        raise MalformedPayment("X-PAYMENT is of another scheme or network")
    accepted = offer.model_dump(mode="json", by_alias=True, exclude_none=True)
    payment = {"x402Version": 2, "accepted": accepted, "payload": content.get("payload")}
    return base64.b64encode(json.dumps(payment).encode()).decode()
