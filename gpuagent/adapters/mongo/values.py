"""Values as MongoDB keeps them: money in Decimal128 USD, times as dates."""

from datetime import UTC, datetime
from typing import Any

from bson import Decimal128

from gpuagent.core.money import parse_usd, usd

Document = dict[str, Any]


def money(amount: int) -> Decimal128:
    return Decimal128(usd(amount))


def amount(value: Decimal128) -> int:
    return parse_usd(value.to_decimal())


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: datetime) -> float:
    return value.timestamp()
