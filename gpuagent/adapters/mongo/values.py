"""Values as MongoDB stores them: money in Decimal128 USD, times as dates."""

from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, ObjectId
from bson.errors import InvalidId

from gpuagent.core.money import usd
from gpuagent.errors import UnknownRun

Document = dict[str, Any]


def money(amount: int) -> Decimal128:
    return Decimal128(usd(amount))


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: datetime) -> float:
    return value.timestamp()


def object_id(run_id: str) -> ObjectId:
    """A run's _id. Raises UnknownRun for a text that is none."""
    try:
        return ObjectId(run_id)
    except (InvalidId, TypeError):
        raise UnknownRun(f"{run_id[:40]!r} is not a run id: `gpuagent run list` shows them") from None
