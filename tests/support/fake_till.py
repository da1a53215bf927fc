"""A till without a chain: payments are taken by what a test sets, and every settlement is counted."""

import base64
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements, ResourceInfo

from seller.payments.market import Account, Market
from seller.payments.payment import Authorization, Payment
from seller.payments.settlement import Dead, Open, Paid
from seller.payments.till import Unknown

MARKET = Market("http://127.0.0.1:1", "eip155:31337", "0x" + "a5" * 20, "USD Coin", "2", Account("0x" + "fa" * 20, ""))
TX = "0x" + "7" * 64


@dataclass
class FakeTill:
    """The shop's till. objects: why no payment is good. outcome: of a settlement, Paid by default.

    on_chain: the payers and nonces that are settled; verdicts: what the chain says of others. asked: settlements that
    were asked for. no_gas: why nothing can be settled. chain_at: the newest block's time, None for none.
    """

    objects: str | None = None
    outcome: Paid | Dead | Unknown = field(default_factory=lambda: Paid(TX))
    on_chain: set[tuple[str, str]] = field(default_factory=set)
    verdict: Dead | Open | Unknown = field(default_factory=Open)
    asked: list[Authorization] = field(default_factory=list)
    no_gas: str = ""
    chain_at: float | None = math.inf

    def offer(self, amount: int, pay_to: str) -> PaymentRequirements:
        return PaymentRequirements(
            scheme="exact",
            network=MARKET.network,
            asset=MARKET.asset,
            amount=str(amount),
            pay_to=pay_to,
            max_timeout_seconds=300,
            extra={"name": MARKET.asset_name, "version": MARKET.asset_version},
        )

    def challenge(
        self, offer: PaymentRequirements, url: str, error: str | None, extensions: Mapping[str, Any]
    ) -> PaymentRequired:
        return PaymentRequired(
            accepts=[offer],
            resource=ResourceInfo(url=url),
            error=error or "payment required",
            extensions=dict(extensions),
        )

    def matching(self, challenge: PaymentRequired, payment: Payment) -> PaymentRequirements | None:
        return next((offer for offer in challenge.accepts if offer == payment.payload.accepted), None)

    def objection(self, payment: Payment, offer: PaymentRequirements) -> str | None:
        return self.objects

    def settle(self, payment: Payment, offer: PaymentRequirements, *, first: bool) -> Paid | Dead | Unknown:
        self.asked.append(payment.authorization)
        if isinstance(self.outcome, Paid):
            self.on_chain.add((payment.authorization.payer, payment.authorization.nonce))
        return self.outcome

    def settle_again(self, payment: Payment, offer: PaymentRequirements) -> Paid | Dead | Unknown:
        return self.settle(payment, offer, first=False)

    def now(self) -> float | None:
        return self.chain_at

    def gas_problem(self) -> str:
        return self.no_gas

    def look_up(self, payment: Payment, tx: str = "") -> Paid | Dead | Open | Unknown:
        if (payment.authorization.payer, payment.authorization.nonce) in self.on_chain:
            return Paid(tx or TX)
        return self.verdict


def payment_header(challenge: Mapping[str, Any], payer: str = "0x" + "b0" * 20, nonce: str = "") -> str:
    """A payment of the first offer of a 402's body, whose signature nobody checks here."""
    offer = challenge["accepts"][0]
    authorization = {
        "from": payer,
        "to": offer["payTo"],
        "value": offer["amount"],
        "validAfter": "0",
        "validBefore": "1900000000",
        "nonce": nonce or "0x" + secrets.token_hex(32),
    }
    payload = PaymentPayload(
        payload={"signature": "0x" + "1b" * 65, "authorization": authorization},
        accepted=PaymentRequirements.model_validate(offer),
    )
    return base64.b64encode(json.dumps(payload.model_dump(by_alias=True, exclude_none=True)).encode()).decode()
