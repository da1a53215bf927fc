"""The two bodies in which HyperCLI's documents have a job ordered, and what a job costs."""

import base64
import binascii
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

UNIT = 1_000_000
MINIMUM = UNIT // 100
PRICES = {"l4": "0.40", "l40s": "0.95", "a100": "1.40", "h100": "2.60"}
"""USD an hour of one, interruptible."""
ON_DEMAND = Decimal("1.5")


class JobFields(BaseModel):
    """The job, as both bodies have it."""

    model_config = ConfigDict(extra="forbid")

    gpu_type: str
    gpu_count: Annotated[int, Field(ge=1, le=8)]
    docker_image: str
    command: str
    interruptible: bool = True
    region: str | None = None
    env_vars: dict[str, str] | None = None
    ports: dict[str, int] | None = None
    auth: bool = False
    registry_auth: dict[str, str] | None = None
    tags: dict[str, str] | None = None


class NestedOrder(BaseModel):
    """The body of the SDK: the amount is the buyer's, in USD."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[Decimal, Field(gt=0, le=10_000)]
    job: JobFields


class FlatOrder(JobFields):
    """The body of the OpenAPI document: the amount follows from the runtime, in seconds."""

    runtime: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] = 3600


def read_order(body: Mapping[str, Any], flat: bool) -> tuple[JobFields, int, int]:
    """The job, its price in atomic units, and its runtime in seconds. Raises what FastAPI answers with."""
    try:
        order = (FlatOrder if flat else NestedOrder).model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    fields = order.job if isinstance(order, NestedOrder) else order
    if fields.gpu_type not in PRICES:
        raise HTTPException(400, f"No {fields.gpu_type} is offered")
    try:
        base64.b64decode(fields.command, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise HTTPException(400, "command is not base64 of text") from None
    price = hourly(fields)
    if isinstance(order, NestedOrder):
        amount, runtime = int(order.amount * UNIT), int(order.amount * UNIT * 3600 / price)
    else:
        amount, runtime = math.ceil(price * order.runtime / 3600), order.runtime
    if amount < MINIMUM or runtime < 1:
        raise HTTPException(400, "Minimum is $0.01")
    return fields, amount, runtime


def hourly(fields: JobFields) -> Decimal:
    """The price of an hour in atomic units."""
    return Decimal(PRICES[fields.gpu_type]) * fields.gpu_count * UNIT * (1 if fields.interruptible else ON_DEMAND)
