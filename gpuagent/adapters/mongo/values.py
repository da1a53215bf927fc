"""Values as MongoDB stores them: money in Decimal128 USD, times as dates."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bson import Decimal128, ObjectId
from bson.errors import InvalidId
from bson.tz_util import utc

from gpuagent.core.money import UNIT, parse_usd, usd
from gpuagent.errors import UnknownRun

Document = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=utc)
CACHED = 4096
"""Amounts of which both forms are remembered."""


@lru_cache(maxsize=CACHED)
def money(amount: int) -> Decimal128:
    return Decimal128(usd(amount))


def amount(stored: Decimal128) -> int:
    """Atomic units of an amount. Raises BadInput as parse_usd() does."""
    return _amount(stored.bid)


@lru_cache(maxsize=CACHED)
def _amount(bid: bytes) -> int:
    # By its bytes: the same few amounts are read again and again, and the driver's conversions are slow.
    return parse_usd(Decimal128.from_bid(bid).to_decimal())


def cut_off(stored: Decimal128) -> int:
    """Atomic units of an amount that another program may have written: whatever is below one is left out."""
    return _cut_off(stored.bid)


@lru_cache(maxsize=CACHED)
def _cut_off(bid: bytes) -> int:
    return int(Decimal128.from_bid(bid).to_decimal() * UNIT)


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: datetime) -> float:
    # Not timestamp(): it reads a date without a zone in the machine's, and is slow with the driver's.
    return (value - EPOCH).total_seconds()


def object_id(run_id: str) -> ObjectId:
    """A run's _id. Raises UnknownRun for a text that is none."""
    try:
        return ObjectId(run_id)
    except (InvalidId, TypeError):
        raise UnknownRun(f"{run_id[:40]!r} is not a run id: `gpuagent run list` shows them") from None
