"""A cache of what counts against a wallet's cap, at most, from this process's last reservation.

A planner is told by it what a policy allows, far from the cap. What is reserved or signed is held against what its own
transaction reads (wallet_day.py).
"""

from collections.abc import Callable, Collection, Sequence
from threading import Lock

from gpuagent.adapters.mongo.enforcement import Counted
from gpuagent.adapters.mongo.sums import caps_more
from gpuagent.adapters.mongo.wallet_day import WalletDay
from gpuagent.core.model import Run
from gpuagent.core.policy import Policy, Usage

KEPT_S = 2.0
FAR = 2
"""So many times what counts must fit under the cap: nearer to it, what other processes reserve is looked up."""


class KeptUsage:
    """Sums of wallets by network and payer. Safe to share between threads. monotonic: seconds that no one sets back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._counted: dict[tuple[str, str], tuple[float, Counted]] = {}
        self._lock = Lock()

    def reserved(self, run: Run, counted: Counted) -> None:
        """Keep what a reservation of the run was counted against."""
        with self._lock:
            self._counted[counted.network, run.payer] = self._monotonic(), counted

    def day(self, network: str, payer: str) -> WalletDay | None:
        """The sum that the last reservation of the wallet was held against."""
        with self._lock:
            _, counted = self._counted.get((network, payer), (0.0, None))
        return counted.day if counted else None

    def of(
        self, run: Run, network: str, vendor_ids: Sequence[str], rules: Policy, unproven: Collection[str]
    ) -> Usage | None:
        """The usage by these rules, None where it must be read. unproven: vendors that are not proven."""
        with self._lock:
            at, counted = self._counted.get((network, run.payer), (0.0, None))
        if counted is None or counted.rules != rules or self._monotonic() - at > KEPT_S:
            return None
        if rules.wallet_per_day is None or counted.wallet_day * FAR > rules.wallet_per_day:
            return None
        is_unproven = not set(unproven).isdisjoint(vendor_ids)
        return None if caps_more(rules, run, is_unproven) else Usage(counted.wallet_day, {}, {}, {}, {})
