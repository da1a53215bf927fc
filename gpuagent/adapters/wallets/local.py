"""The Wallet port with the key in this process, by eth-account."""

import binascii

from eth_account import Account
from eth_account.messages import SignableMessage
from eth_account.signers.local import LocalAccount

from gpuagent.adapters.wallets.signing import cancel_transaction, check_cancel, check_payment, domain_of
from gpuagent.core.model import Authorization, Terms, Token
from gpuagent.core.ports.chain import Gas
from gpuagent.errors import ConfigError
from gpuagent.wire.eip3009 import CANCEL_TYPES, cancel_message, domain_separator, transfer_hash
from gpuagent.wire.x402 import encode_payment

EIP_712 = b"\x01"
"""The version byte of signed data with a domain (EIP-191)."""
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
        check_payment(authorization, terms, self.address, self._token)
        message = SignableMessage(EIP_712, domain_separator(self._token), transfer_hash(authorization))
        signed = self._account.sign_message(message)
        return encode_payment(authorization, "0x" + signed.signature.hex().removeprefix("0x"), terms, identifier)

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        """A raw transaction that cancels. Raises Refused for what is not ours, and when there is no gas for it."""
        check_cancel(authorization, gas, self.address, self._token)
        signed = self._account.sign_typed_data(
            domain_data=domain_of(self._token), message_types=CANCEL_TYPES, message_data=cancel_message(authorization)
        )
        transaction = cancel_transaction(authorization, gas, self._token, (signed.v, signed.r, signed.s))
        return "0x" + bytes(self._account.sign_transaction(transaction).raw_transaction).hex()


def address_of(private_key: str) -> str:
    """The address that the key signs for. Raises ConfigError."""
    account = _account(private_key)
    del private_key
    if account is None:
        raise ConfigError(NO_KEY)
    return str(account.address)


def _account(private_key: str) -> LocalAccount | None:
    """The key's account; None when it is no private key: the library's errors would carry it in their frames."""
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError, binascii.Error):
        return None
    return account
