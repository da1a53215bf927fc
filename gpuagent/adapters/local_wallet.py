"""A wallet whose key is in this process (eth-account)."""

import binascii
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from eth_account import Account
from eth_account.datastructures import SignedMessage
from eth_account.signers.local import LocalAccount

from gpuagent.errors import ConfigError, Refused
from gpuagent.model import Authorization, Terms, Token
from gpuagent.ports import Gas
from gpuagent.wire.eip3009 import CANCEL_TYPES, cancel_call, cancel_message
from gpuagent.wire.exact import encode_payment, typed_data

CANCEL_GAS = 100_000
"""Gas limit of a cancellation, which takes about 60,000 on Circle's token; what is not used is not paid."""
CANCEL_COST_MAX = 10**16
"""Wei, 0.01 ETH: thousands of times what a cancellation costs on Base. A node that asks more is not believed."""

NO_KEY = "X402_PRIVATE_KEY is not a private key: write 0x and 64 hex digits"


class LocalWallet:
    """Signs EIP-3009 transfers of one token and their cancellation, nothing else. The key is never shown or stored."""

    def __init__(self, private_key: str, token: Token) -> None:
        account = _account(private_key)
        del private_key  # tools that show a traceback with its locals must not find it here
        if account is None:
            raise ConfigError(NO_KEY)
        self._account = account
        self._token = token

    def __repr__(self) -> str:
        # Also of one that could not be made: what shows the locals of a traceback asks for it.
        return f"LocalWallet({self.address if hasattr(self, '_account') else ''})"

    @property
    def address(self) -> str:
        return str(self._account.address)

    @property
    def token(self) -> Token:
        return self._token

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        """The PAYMENT-SIGNATURE header. Raises Refused for anything but our own transfer on the agreed terms."""
        self._check(authorization, terms)
        _, types, _, message = typed_data(authorization, self._token)
        signed = self._signed(types, message)
        return encode_payment(authorization, "0x" + signed.signature.hex().removeprefix("0x"), terms, identifier)

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        """A raw transaction that cancels. Raises Refused for what is not ours, and when there is no gas for it."""
        self._check_cancel(authorization, gas)
        signed = self._signed(CANCEL_TYPES, cancel_message(authorization))
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self._token.chain_id,
            "nonce": gas.count,
            "to": bytes.fromhex(self._token.address[2:]),
            "value": 0,
            "data": cancel_call(authorization, signed.v, signed.r, signed.s),
            "gas": CANCEL_GAS,
            "maxFeePerGas": gas.max_fee,
            "maxPriorityFeePerGas": gas.priority_fee,
        }
        return "0x" + bytes(self._account.sign_transaction(transaction).raw_transaction).hex()

    def _signed(self, types: dict[str, list[dict[str, str]]], message: dict[str, object]) -> SignedMessage:
        """EIP-712, in the token's domain."""
        token = self._token
        domain = {
            "name": token.name,
            "version": token.version,
            "chainId": token.chain_id,
            "verifyingContract": token.address,
        }
        return self._account.sign_typed_data(domain_data=domain, message_types=types, message_data=message)

    def _check_cancel(self, authorization: Authorization, gas: Gas) -> None:
        token = self._token
        ours = (
            (authorization.payer == self.address, "payer"),
            (authorization.network == token.network, "network"),
            (authorization.asset == token.address, "asset"),
        )
        foreign = [name for holds, name in ours if not holds]
        if foreign:
            raise Refused(f"the wallet does not cancel this: wrong {', '.join(foreign)}")
        dies_at = datetime.fromtimestamp(authorization.valid_before, UTC)
        dies = f"it dies by itself at {authorization.valid_before} ({dies_at:%Y-%m-%d %H:%M:%S} UTC)"
        cost = CANCEL_GAS * gas.max_fee
        if cost > CANCEL_COST_MAX:
            raise Refused(f"the node asks up to {_eth(cost)} to cancel the authorization, which no chain takes: {dies}")
        if gas.balance < cost:
            raise Refused(
                f"wallet {self.address} lacks {_eth(cost - gas.balance)} for gas to cancel the authorization: {dies}"
            )

    def _check(self, authorization: Authorization, terms: Terms) -> None:
        """The pair of the core's own check: whatever went wrong before, these never get a signature."""
        token = self._token
        agreed = (
            (authorization.payer == self.address, "payer"),
            (authorization.network == terms.network == token.network, "network"),
            (authorization.asset == token.address, "asset"),
            (terms.asset.lower() == token.address.lower(), "asset offered"),
            (terms.pay_to.lower() == authorization.payee.lower(), "payee"),
            (terms.amount == str(authorization.amount) and authorization.amount > 0, "amount"),
            (terms.extra == {"name": token.name, "version": token.version}, "token domain"),
        )
        wrong = [name for holds, name in agreed if not holds]
        if wrong:
            raise Refused(f"the wallet does not sign this: wrong {', '.join(wrong)}")


def address_of(private_key: str) -> str:
    """The address that the key signs for. Raises ConfigError."""
    account = _account(private_key)
    del private_key
    if account is None:
        raise ConfigError(NO_KEY)
    return str(account.address)


def _eth(wei: int) -> str:
    return f"{Decimal(wei).scaleb(-18).normalize():f} ETH"


def _account(private_key: str) -> LocalAccount | None:
    """None when it is no private key: the errors of the library would carry it in their frames."""
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError, binascii.Error):
        return None
    return account
