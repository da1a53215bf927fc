"""The arguments that tools share. What a client may send is checked here; what it may buy, where everybody's is."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from gpuagent.agent.start import GOAL_MAX
from gpuagent.api.idempotency import KEY_MAX
from gpuagent.api.requests import Hours, ShortText, Tag
from gpuagent.core.model import JOBS_MAX
from gpuagent.core.money import parse_usd
from gpuagent.core.workload import FILES_MAX
from gpuagent.errors import BadInput

PAGE, PAGE_MAX = 20, 50
"""Entries of an answer's list: unless asked otherwise, and at most."""


def _usd(value: object) -> int:
    """Atomic units of a text or a number of USD. The digits of a number are taken as they are written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('is to be USD as a text, such as "5" or "1.40"')  # noqa: TRY004 - pydantic explains it
    try:
        return parse_usd(Decimal(repr(value)) if isinstance(value, float) else value)
    except BadInput as error:
        raise ValueError(str(error)) from None


Atomic = Annotated[
    int,
    BeforeValidator(_usd),
    Field(gt=0, description='USD as a text, such as "5" or "1.40": at most 6 decimals'),
    WithJsonSchema({"type": ["string", "number"], "description": 'USD, such as "5" or "1.40"; at most 6 decimals'}),
]
"""An amount: USD outside, atomic units inside."""
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$", description="the run's id")]
Key = Annotated[
    str,
    Field(
        min_length=8,
        max_length=KEY_MAX,
        pattern=r"^[\x21-\x7e]+$",
        description="made up by you for this one start: the same key and arguments within a day start nothing twice",
    ),
]
Goal = Annotated[str, Field(max_length=GOAL_MAX, description="what the run is for; may be empty with a job")]
Gpu = Annotated[ShortText | None, Field(description="the GPU type; none: the job's, or A100")]
MaxHours = Annotated[Hours | None, Field(description="GPU hours to buy; none: the job's max_duration, or 1")]
VendorIds = Annotated[list[ShortText], Field(max_length=50, description="empty: any enabled vendor")]
Tags = Annotated[list[Tag], Field(max_length=20, description="for reports and budgets")]
Planner = Annotated[str, Field(max_length=200, description="stub (rules) or llm; empty: the server's default")]
JobsOpen = Annotated[int, Field(strict=True, ge=1, le=JOBS_MAX, description="jobs that may be open at once")]
Job = Annotated[
    dict[str, Any] | str | None, Field(description="what is to run: a job file, as an object or as its YAML text")
]
Inputs = Annotated[
    dict[str, str], Field(max_length=FILES_MAX, description="small inputs of the job in base64, by path")
]
Limit = Annotated[int, Field(strict=True, ge=1, le=PAGE_MAX, description="at most so many entries")]
Before = Annotated[str, Field(max_length=100, description="`next` of the page before; empty: the first page")]
