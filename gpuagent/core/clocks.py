"""The time that decides about money: what this machine, the database and the chain agree on. Pure; Unix seconds."""

from collections.abc import Callable
from datetime import UTC, datetime

from gpuagent.core.model import Authorization
from gpuagent.core.networks import LOCAL
from gpuagent.errors import ClocksDiffer

APART_MAX_S = 120.0
"""Clocks further apart do not tell one time. An authorization lives no longer, so a node that lags more is no use."""
ADVICE = {
    "this machine": "set the clock of this machine by NTP",
    "the database": "set the clock of the database's server by NTP",
    "the chain's newest block": "the node has stopped or lags: use another in CHAIN_RPC_URL",
}


def agreed(own: float, database: float, chain: float | None) -> float:
    """The earliest of the clocks, by which nothing has lapsed yet that any of them still counts.

    chain: the newest block's time, None where it tells no time. Raises ClocksDiffer when two are too far apart.
    """
    times = dict(zip(ADVICE, (own, database, chain), strict=True))
    clocks = {name: at for name, at in times.items() if at is not None}
    apart_s = max(clocks.values()) - min(clocks.values())
    if apart_s > APART_MAX_S:
        listed = ", ".join(f"{name} {_shown(at)}" for name, at in clocks.items())
        raise ClocksDiffer(
            f"the clocks differ by {apart_s:.0f} s: {listed} (UTC). Nothing was signed, because "
            f"caps and approvals end by them: {_advice(clocks)}. `gpuagent doctor` compares them again"
        )
    return min(clocks.values())


def is_expired(authorization: Authorization, own: float, database: Callable[[], float]) -> bool:
    """Whether one of our clocks bears out a chain by which it has expired: one node's word alone frees no money.

    By the faster of the two: where both are slow, a hold lasts the longer. A local chain, whose clock is turned at
    will, needs none. database: reads its clock, asked only where this machine's does not bear it out.
    """
    expiry = authorization.valid_before
    return authorization.network == LOCAL.caip2 or own >= expiry or database() >= expiry


def waited_from(own: float, database: float) -> float:
    """The time from which on a vendor that was paid is waited for: the later of this machine's and the database's.

    A clock that was behind when a wait began would have it lapse by hours, once it is right and all agree.
    """
    return max(own, database)


def _advice(clocks: dict[str, float]) -> str:
    """What to do about the one clock that two others contradict; about all of them where none stands alone."""
    for name in clocks:
        others = [at for other, at in clocks.items() if other != name]
        if len(others) > 1 and max(others) - min(others) <= APART_MAX_S:
            return ADVICE[name]
    return "; or ".join(ADVICE[name] for name in clocks)


def _shown(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):  # a node may say any number
        return f"{at:.0f} s"
