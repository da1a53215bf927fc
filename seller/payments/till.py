"""The vendor's side of x402: offers, verification and settlement, by the SDK's own facilitator or a hosted one."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from x402 import x402ResourceServerSync
from x402.mechanisms.evm.constants import (
    ERR_FAILED_TO_VERIFY_SIGNATURE,
    ERR_NONCE_ALREADY_USED,
    ERR_SETTLEMENT_PENDING,
    ERR_TRANSACTION_FAILED,
    ERR_TRANSACTION_SIMULATION_FAILED,
)
from x402.mechanisms.evm.exact.register import register_exact_evm_server
from x402.schemas import (
    AssetAmount,
    PaymentRequired,
    PaymentRequirements,
    ResourceConfig,
    ResourceInfo,
    SettleResponse,
)

from seller.locks import Lock
from seller.payments.facilitator import Signer, facilitator
from seller.payments.hosted import FacilitatorUnavailable, open_facilitator
from seller.payments.market import Market
from seller.payments.node import Call, Node, NodeAway, NodeError
from seller.payments.payment import IDENTIFIER_DECLARATION, PAYMENT_IDENTIFIER, Payment
from seller.payments.settlement import NEWEST, VALID_MAX_S, Dead, Ledger, Open, Paid

MAX_TIMEOUT_S = 300
# With these the transfer may have been broadcast, or the chain was away: they do not say "not paid".
UNCERTAIN = {
    ERR_SETTLEMENT_PENDING,
    ERR_TRANSACTION_FAILED,
    ERR_TRANSACTION_SIMULATION_FAILED,
    ERR_FAILED_TO_VERIFY_SIGNATURE,
    ERR_NONCE_ALREADY_USED,
}

CHAIN_AWAY = "the chain does not answer"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unknown:
    """An outcome that is not decided: the transfer may or may not be on chain. Ask again later; never sell anew."""

    reason: str


class ChainUnavailable(Exception):
    """The chain did not answer, so nothing can be said about the payment."""


class Till:
    """The vendor's till: it takes payments on one market. Safe to call from any thread."""

    def __init__(self, market: Market, sending: Lock | None = None) -> None:
        """sending: the turn to send from the own account. Raises BadSetting where the hosted one cannot settle here."""
        self._market = market
        self._node = Node(market.rpc_url)
        self._ledger = Ledger(self._node, market.asset)
        self._hosted, self._signer = None, None
        if market.facilitator is None:
            self._hosted = open_facilitator(market.facilitator_url, market.network)
            self._server = x402ResourceServerSync(self._hosted)
        else:
            self._signer = Signer(
                *(self._node, market.chain_id, market.facilitator.private_key, sending),
                gas_price_max=market.gas_price_max,
            )
            self._server = x402ResourceServerSync(facilitator(self._signer, market.network))
        register_exact_evm_server(self._server, market.network)
        self._server.initialize()

    def close(self) -> None:
        self._node.close()
        if self._hosted:
            self._hosted.close()

    def offer(self, amount: int, pay_to: str) -> PaymentRequirements:
        """The offer of a 402. `amount` is atomic units."""
        price = AssetAmount(
            amount=str(amount),
            asset=self._market.asset,
            extra={"name": self._market.asset_name, "version": self._market.asset_version},
        )
        config = ResourceConfig(
            scheme="exact",
            pay_to=pay_to,
            price=price,
            network=self._market.network,
            max_timeout_seconds=MAX_TIMEOUT_S,
        )
        return self._server.build_payment_requirements(config)[0]

    def challenge(
        self, offer: PaymentRequirements, url: str, error: str | None, extensions: Mapping[str, Any]
    ) -> PaymentRequired:
        """The body of a 402."""
        return self._server.create_payment_required_response(
            [offer],
            resource=ResourceInfo(url=url, description="one GPU job", mime_type="application/json"),
            error=error or "payment required",
            extensions={PAYMENT_IDENTIFIER: IDENTIFIER_DECLARATION, **extensions},
        )

    def matching(self, challenge: PaymentRequired, payment: Payment) -> PaymentRequirements | None:
        """The offer that this payment accepts, if it accepts one of ours and echoes it faithfully."""
        if not self._server.validate_extensions(challenge, payment.payload).valid:
            return None
        return self._server.find_matching_requirements(challenge.accepts, payment.payload)

    def objection(self, payment: Payment, offer: PaymentRequirements) -> str | None:
        """The reason why a payment cannot be taken; None if it can. Raises ChainUnavailable, FacilitatorUnavailable."""
        if offer.network != self._market.network:
            return f"nothing can be settled on {offer.network} here"
        try:
            transfer = self._signer.transfer(payment, offer) if self._signer else None
            with _node_errors(), self._node.ahead([NEWEST, *([transfer] if transfer else [])]):
                if payment.authorization.valid_before > self._ledger.now() + VALID_MAX_S:
                    # Until it ends it holds a place, though its payer may have no money any more.
                    return f"validBefore is too late: an authorization may be valid for {VALID_MAX_S} seconds"
                if transfer and self._is_for(offer, payment) and self._would_succeed(transfer):
                    return None  # all of it is verified by the SDK when it settles, before anything is sent
                verified = self._server.verify_payment(payment.payload, offer)
        except (OSError, NodeError) as error:
            raise ChainUnavailable(_kind(error)) from error
        except FacilitatorUnavailable as error:
            logger.warning("%s is not verified: %s", payment.authorization.nonce, error)
            raise
        if verified.is_valid:
            return None
        reason = verified.invalid_reason or "payment invalid"
        if reason == ERR_NONCE_ALREADY_USED:
            return None  # another account may have relayed this very transfer: settle() finds out
        if reason in UNCERTAIN and not self._ledger.is_reachable():
            raise ChainUnavailable(reason)
        return reason

    def settle(self, payment: Payment, offer: PaymentRequirements, *, first: bool) -> Paid | Dead | Unknown:
        """Make sure that the transfer is on chain: it is asked before and after, whatever the facilitator answers.

        first: its settlement was never asked for. Later a transfer may be on its way, and only the chain says "never".
        """
        try:
            terms = self._signer.terms() if self._signer else []
            reads = [*self._ledger.reads(payment.authorization), *self._reads(payment, offer), *terms]
            with _node_errors(), self._node.ahead(reads):
                verdict = self._ledger.look_up(payment.authorization)
                if not isinstance(verdict, Open):
                    return verdict
                settled = self._settled(payment, offer)
            verdict = self._ledger.look_up(payment.authorization, tx=settled.transaction, is_sent_now=True)
        except (OSError, NodeError) as error:
            logger.warning("settlement of %s is unknown: %s", payment.authorization.nonce, _kind(error))
            return Unknown(CHAIN_AWAY)
        if not isinstance(verdict, Open):
            return verdict
        reason = settled.error_reason or "settlement failed"
        logger.warning("settlement of %s failed: %s", payment.authorization.nonce, reason)
        # A hosted one has reasons of its own: that one of them means "never" is nowhere said.
        was_sent = settled.success or bool(settled.transaction)
        uncertain = not first or was_sent or reason in UNCERTAIN or self._hosted
        return Unknown(reason) if uncertain else Dead(reason)

    def settle_again(self, payment: Payment, offer: PaymentRequirements) -> Paid | Dead | Unknown:
        """Settle what the chain has taken back, and with it the transaction's number: all others wait for that one."""
        if self._signer:
            self._signer.renumber()
        return self.settle(payment, offer, first=False)

    def now(self) -> float | None:
        """The time of the newest block, in Unix seconds; None where the chain does not answer."""
        try:
            return self._ledger.now()
        except (OSError, NodeError):
            return None

    def gas_problem(self) -> str:
        """Why the own account can settle nothing, in words for the operator; "" for nothing that is known."""
        try:
            return self._signer.gas_problem() if self._signer else ""
        except (OSError, NodeError, TypeError, ValueError):
            return ""  # a node that is away, or talks nonsense, is seen at the next sale

    def look_up(self, payment: Payment, tx: str = "") -> Paid | Dead | Open | Unknown:
        """The chain's verdict; nothing is settled. tx: the transaction that is said to have paid."""
        try:
            return self._ledger.look_up(payment.authorization, tx)
        except (OSError, NodeError):
            return Unknown(CHAIN_AWAY)

    def _is_for(self, offer: PaymentRequirements, payment: Payment) -> bool:
        """Whether a payment in this market's token pays just this offer."""
        terms = payment.authorization
        paid = (terms.payee, str(terms.amount), self._market.asset)
        return paid == (offer.pay_to.lower(), offer.amount, offer.asset)

    def _would_succeed(self, call: Call) -> bool:
        try:
            self._node.many([call])
        except NodeError:
            return False
        return True

    def _reads(self, payment: Payment, offer: PaymentRequirements) -> list[Call]:
        return self._signer.reads(payment, offer) if self._signer else []

    def _settled(self, payment: Payment, offer: PaymentRequirements) -> SettleResponse:
        """The facilitator's answer, which may be wrong: no answer is a failure here, and the chain is asked next."""
        try:
            return self._server.settle_payment(payment.payload, offer)
        except FacilitatorUnavailable as error:
            return SettleResponse(success=False, error_reason=str(error), transaction="", network=offer.network)


def _kind(error: Exception) -> str:
    """What is said of an error of the chain's node: its message may have the node's URL, and that a key in it."""
    return type(error).__name__


@contextmanager
def _node_errors() -> Iterator[None]:
    """Raises NodeAway and NodeError as they were: the SDK wraps those of its look at the token's contract."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, NodeAway | NodeError):
            raise error.__cause__ from None
        raise
