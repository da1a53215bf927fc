"""The chain of one tick: the newest block, the balance and the nonces, read in one exchange and used for seconds.

Outcomes, which move money in the books, are read each time, at blocks that are named by their hash. One read is spared:
whether an authorization that this tick has just signed is still open. Its nonce was unspent in the reading before the
signature, and nothing has left the agent since.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import ceil

from gpuagent.agent.readings import is_fresh
from gpuagent.core.model import Authorization, Settlement
from gpuagent.core.ports.chain import Chain, Gas, Head, Open, Outcome
from gpuagent.core.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class _Reading:
    """The newest block and an address. at: when it was requested, by our clock. nonces: those that it covers."""

    address: str
    at: float
    nonces: Collection[str]
    head: Head


class TickChain:
    """The port Chain over another, for one tick.

    nonces: those that the run may still sign. signed: those of the authorizations that this tick has saved.
    """

    def __init__(
        self,
        chain: Chain,
        clock: Clock,
        nonces: Callable[[], Sequence[str]] = tuple,
        signed: Collection[str] = (),
    ) -> None:
        self._chain, self._clock, self._nonces, self._signed = chain, clock, nonces, signed
        self._reading: _Reading | None = None
        self._taken_as_open: set[str] = set()

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        reading = self._reading
        if reading and self._is_fresh(reading) and reading.address == address and set(nonces) <= set(reading.nonces):
            return reading.head
        return self._read(address, nonces).head

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        spent = self.head(payer, nonces).spent
        return [nonce for nonce in nonces if nonce in spent]

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        reading, nonce = self._reading, authorization.nonce
        if reading and self._is_fresh(reading) and nonce in self._signed and nonce not in self._taken_as_open:
            self._taken_as_open.add(nonce)  # once: from then on it may be in the vendor's hands
            if nonce in reading.nonces and nonce not in reading.head.spent:
                latest = max(reading.head.time, reading.head.latest)  # as outcome() has it of several nodes
                return Open(latest + ceil(self._clock.now() - reading.at), used=False)
        outcome = self._chain.outcome(authorization, transaction)
        if isinstance(outcome, Settlement):
            self._reading = None  # the balance of the reading still has what was paid
        return outcome

    def gas(self, address: str) -> Gas:
        return self._chain.gas(address)

    def send(self, transaction: str) -> str:
        return self._chain.send(transaction)

    def _is_fresh(self, reading: _Reading) -> bool:
        return is_fresh(reading.at, self._clock.now())

    def _read(self, address: str, nonces: Sequence[str]) -> _Reading:
        at, all_nonces = self._clock.now(), tuple(dict.fromkeys((*self._nonces(), *nonces)))
        self._reading = _Reading(address, at, all_nonces, self._chain.head(address, all_nonces))
        return self._reading
