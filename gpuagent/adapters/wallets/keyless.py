"""The wallet of a process that only reads or approves: an address without a key."""

from dataclasses import dataclass

from gpuagent.core.model import Authorization, Terms, Token
from gpuagent.core.ports.chain import Gas
from gpuagent.errors import Refused


@dataclass(frozen=True, slots=True)
class KeylessWallet:
    """Signs nothing. address: of the wallet whose balance is shown."""

    address: str
    token: Token

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:  # noqa: ARG002
        """Raises Refused."""
        raise Refused("this process holds no key: nothing is signed here")

    def cancel(self, authorization: Authorization, gas: Gas) -> str:  # noqa: ARG002
        """Raises Refused."""
        raise Refused("this process holds no key: nothing is cancelled on chain here")
