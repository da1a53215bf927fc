"""How much is taken of one address: requests that cost work, and bytes of what it sends."""

import hashlib
import mmap
import os
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Protocol

from seller.locks import Lock, ThreadLock

ADDRESSES_MAX = 10_000
MINUTE_S, HOUR_S = 60.0, 3600.0


class Levels(Protocol):
    """The level of each address, and when it was that. Whoever has not asked for longest is forgotten first."""

    def get(self, address: str) -> tuple[float, float] | None: ...

    def put(self, address: str, level: float, at: float) -> None: ...


class OwnLevels:
    """The levels of one process."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def get(self, address: str) -> tuple[float, float] | None:
        return self._levels.get(address)

    def put(self, address: str, level: float, at: float) -> None:
        self._levels.pop(address, None)
        self._levels[address] = level, at
        if len(self._levels) > ADDRESSES_MAX:
            self._levels.popitem(last=False)


class SharedLevels:
    """The levels of a process and of those that it forks, in memory that all of them have.

    An address has a place in one row of eight. The rows follow from a secret: an address cannot choose whose it shares.
    """

    _place = struct.Struct("16sdd")
    _row_places = 8

    def __init__(self) -> None:
        self._rows = ADDRESSES_MAX // self._row_places
        self._memory = mmap.mmap(-1, ADDRESSES_MAX * self._place.size)
        self._salt = os.urandom(16)

    def get(self, address: str) -> tuple[float, float] | None:
        name = self._name(address)
        return next(((level, at) for _, other, level, at in self._row(name) if other == name), None)

    def put(self, address: str, level: float, at: float) -> None:
        name = self._name(address)
        row = self._row(name)
        own = next((offset for offset, other, _, _ in row if other == name), None)
        oldest = min(row, key=lambda place: place[3])[0]
        self._place.pack_into(self._memory, oldest if own is None else own, name, level, at)

    def _name(self, address: str) -> bytes:
        return hashlib.blake2b(address.encode(), digest_size=16, key=self._salt).digest()

    def _row(self, name: bytes) -> list[tuple[int, bytes, float, float]]:
        """Offset, name, level and time of each place of a row."""
        first = int.from_bytes(name[:8]) % self._rows * self._row_places * self._place.size
        offsets = range(first, first + self._row_places * self._place.size, self._place.size)
        return [(offset, *self._place.unpack_from(self._memory, offset)) for offset in offsets]


class Bucket:
    """A token bucket for each address: `capacity` at once, and as much again in `period_s`. Thread-safe.

    https://en.wikipedia.org/wiki/Token_bucket. capacity 0: any number. levels, lock: of this process by default. now:
    seconds, of a clock that all have whose levels they are.
    """

    def __init__(
        self,
        capacity: float,
        period_s: float,
        now: Callable[[], float] = time.monotonic,
        levels: Levels | None = None,
        lock: Lock | None = None,
    ) -> None:
        self._capacity, self._rate, self._now = capacity, capacity / period_s, now
        self._levels: Levels = OwnLevels() if levels is None else levels
        self._lock = lock or ThreadLock()

    def take(self, address: str, count: float = 1.0) -> float:
        """Takes so many; 0, or the seconds until they are there, with nothing taken."""
        if not self._capacity:
            return 0.0
        address = neighbourhood(address)
        with self._lock.hold():
            level, at = self._levels.get(address) or (self._capacity, self._now())
            level = min(self._capacity, level + (self._now() - at) * self._rate)
            tokens = min(count, self._capacity)
            enough = level >= tokens
            self._levels.put(address, level - tokens if enough else level, self._now())
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


def limiter(requests_per_minute: int, bytes_per_hour: int, lock: Lock | None = None) -> Limiter:
    """The limiter. lock: of this process and of those that it will fork, for one that counts for all of them."""

    def bucket(capacity: float, period_s: float) -> Bucket:
        return Bucket(capacity, period_s, levels=SharedLevels() if lock else None, lock=lock)

    return Limiter(bucket(requests_per_minute, MINUTE_S), bucket(bytes_per_hour, HOUR_S))
