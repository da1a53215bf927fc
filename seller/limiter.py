"""How much is taken of one address: requests that cost work, and bytes of what it sends."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network

ADDRESSES_MAX = 10_000
MINUTE_S, HOUR_S = 60.0, 3600.0


class Bucket:
    """A token bucket for each address: `capacity` at once, and as much again in `period_s`. Thread-safe.

    https://en.wikipedia.org/wiki/Token_bucket. capacity 0: any number.
    """

    def __init__(self, capacity: float, period_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._rate, self._now = capacity, capacity / period_s, now
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str, count: float = 1.0) -> float:
        """Takes so many; 0, or the seconds until they are there, with nothing taken."""
        if not self._capacity:
            return 0.0
        address = neighbourhood(address)
        with self._lock:
            level, at = self._levels.pop(address, (self._capacity, self._now()))
            level = min(self._capacity, level + (self._now() - at) * self._rate)
            tokens = min(count, self._capacity)
            enough = level >= tokens
            self._levels[address] = (level - tokens if enough else level, self._now())
            if len(self._levels) > ADDRESSES_MAX:
                self._levels.popitem(last=False)
            return 0.0 if enough else (tokens - level) / self._rate


TRANSLATED = ip_network("64:ff9b::/96")
"""How an IPv4 client looks behind NAT64: https://www.rfc-editor.org/rfc/rfc6052#section-2.1."""


def neighbourhood(host: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, for whoever has one address there has them all.

    IPv4 within IPv6, as a listener for both sees it, is that IPv4 address: else all of IPv4 would be one.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    if inner := address.ipv4_mapped:
        return str(inner)
    return str(IPv4Address(int(address) & 0xFFFFFFFF)) if address in TRANSLATED else address.exploded[:19]


@dataclass(frozen=True)
class Limiter:
    """requests: quotes and orders of an address. bytes: of those and of inputs."""

    requests: Bucket = field(default_factory=lambda: Bucket(0, MINUTE_S))
    bytes: Bucket = field(default_factory=lambda: Bucket(0, HOUR_S))


def limiter(requests_per_minute: int, bytes_per_hour: int) -> Limiter:
    return Limiter(Bucket(requests_per_minute, MINUTE_S), Bucket(bytes_per_hour, HOUR_S))
