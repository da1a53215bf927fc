"""Documents of MongoDB as JSON values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import Decimal128, ObjectId

from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.money import amount


def json_value(value: Any) -> Any:
    """A document as JSON values: amounts as strings of atomic units, dates in ISO 8601, ids as strings."""
    match value:
        case Decimal128():
            return str(amount(value))
        case ObjectId():
            return str(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return {key: json_value(part) for key, part in value.items() if key not in SECRET_FIELDS}
        case list() | tuple():
            return [json_value(part) for part in value]
    return value
