"""Clock and payments of a paper market: time stands still within a tick, and a payment is final once it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuagent.core.model import Authorization, Settlement, Terms, Token
from gpuagent.core.networks import LOCAL
from gpuagent.core.ports.chain import Gas, Head, Open, Outcome
from gpuagent.planbench.scenarios import Market

PAYER, PAYEE, ASSET = ("0x" + digit * 40 for digit in "123")
TOKEN = Token(LOCAL.caip2, ASSET, "USD Coin", "2")
NO_TRANSACTION = "0x" + "0" * 64


@dataclass(slots=True)
class PaperClock:
    """The port Clock over a scenario's ticks. tick: the time, in job lengths from the scenario's beginning."""

    market: Market
    tick: int = 0

    def now(self) -> float:
        return self.market.at(self.tick)


class PaperPayments:
    """The ports Wallet and Chain: more money than the budget, and each payment final once it is sent."""

    address, token = PAYER, TOKEN

    def __init__(self, market: Market, clock: PaperClock) -> None:
        self._clock, self._balance = clock, 10 * market.budget
        self._settled: set[str] = set()

    def settle(self, authorization: Authorization) -> bool:
        """Whether this settles the authorization: False where it is settled already."""
        if authorization.nonce in self._settled:
            return False
        self._settled.add(authorization.nonce)
        return True

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        return f"paper {authorization.nonce}"

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        return f"paper {authorization.nonce}"

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        return Head(self._clock.tick, int(self._clock.now()), self._balance, tuple(self.spent(address, nonces)))

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        return [nonce for nonce in nonces if nonce in self._settled]

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        if authorization.nonce in self._settled:
            return Settlement(NO_TRANSACTION, self._clock.tick, int(self._clock.now()))
        return Open(int(self._clock.now()), used=False)

    def gas(self, address: str) -> Gas:
        return Gas(0, 1, 1, 10**18)

    def send(self, transaction: str) -> str:
        return NO_TRANSACTION
