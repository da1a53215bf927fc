"""A chain on which no time passes between two reads: blocks come by the second on the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpuagent.core.model import Authorization
from gpuagent.core.ports.chain import Chain, Head, Outcome


@dataclass
class StandingChain:
    """A chain that answers with these, where they are set, and else as the one behind it."""

    inner: Chain
    newest: Head | None = None
    decided: Outcome | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        return self.newest or self.inner.head(address, nonces)

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        return self.decided or self.inner.outcome(authorization, transaction)
