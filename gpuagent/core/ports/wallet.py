"""The port to the wallet that pays."""

from typing import Protocol

from gpuagent.core.model import Authorization, Terms, Token
from gpuagent.core.ports.chain import Gas


class Wallet(Protocol):
    """The wallet that pays: it signs one payment, or the transaction that cancels one."""

    @property
    def address(self) -> str: ...

    @property
    def token(self) -> Token: ...

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        """The PAYMENT-SIGNATURE header value for exactly this authorization. Raises Refused, WalletError.

        identifier: the x402 payment identifier to declare, or "" for none.
        """
        ...

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        """A raw transaction (EIP-1559, 0x hex) that cancels the authorization on chain, for Chain.send().

        It races the settlement, and either may win. Raises Refused when the authorization is not of this wallet
        and token, or gas.balance cannot pay for it, and WalletError; no signature leaves the wallet then.
        """
        ...
