"""A wallet whose key is in this process (eth-account)."""

import binascii

from eth_account import Account
from eth_account.signers.local import LocalAccount

from gpuagent.errors import ConfigError, Refused
from gpuagent.model import Authorization, Terms, Token
from gpuagent.wire.exact import encode_payment, typed_data


class LocalWallet:
    """Signs EIP-3009 transfers of one token, and nothing else. The key is never shown, stored or logged."""

    def __init__(self, private_key: str, token: Token) -> None:
        self._account = _account(private_key)
        self._token = token

    def __repr__(self) -> str:
        return f"LocalWallet({self.address})"

    @property
    def address(self) -> str:
        return str(self._account.address)

    @property
    def token(self) -> Token:
        return self._token

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        """The PAYMENT-SIGNATURE header. Raises Refused for anything but our own transfer on the agreed terms."""
        self._check(authorization, terms)
        domain, types, _, message = typed_data(authorization, self._token)
        signed = self._account.sign_typed_data(
            domain_data={
                "name": domain.name,
                "version": domain.version,
                "chainId": domain.chain_id,
                "verifyingContract": domain.verifying_contract,
            },
            message_types=types,
            message_data=message,
        )
        return encode_payment(authorization, "0x" + signed.signature.hex().removeprefix("0x"), terms, identifier)

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


def _account(private_key: str) -> LocalAccount:
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError, binascii.Error):
        # The cause would show the key in a traceback.
        raise ConfigError("X402_PRIVATE_KEY is not a private key: write 0x and 64 hex digits") from None
    return account
