"""Request bodies: camelCase, numbers of USD, times in ISO 8601. Examples are the original system's."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from gpuagent.agent.start import GOAL_MAX, TAG_MAX
from gpuagent.core.model import AT_ONCE_MAX, COUNT_MAX, HEDGE_AFTER_MAX_S
from gpuagent.core.workload import FILES_MAX

RUN_ID = "66a1f2c9d53a3f9ef1f0c123"


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("is to be a number, such as 5 or 1.4")  # noqa: TRY004 - pydantic explains a ValueError
    return Decimal(repr(value)) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""An amount as a JSON number. Its digits are taken as they are written: 0.1 is a tenth."""
Hours = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=Decimal("0.01"), le=720),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 720}),
]
ShortText = Annotated[str, Field(min_length=1, max_length=64)]
Tag = Annotated[str, Field(min_length=1, max_length=TAG_MAX)]
HedgeAfter = Annotated[
    int | None,
    Field(
        strict=True,
        ge=0,
        le=HEDGE_AFTER_MAX_S,
        description="seconds past its expected time after which a job is bought once more, at another vendor; "
        "0: never; none: as the job says",
    ),
]
RunId = Annotated[str, Field(min_length=1, max_length=64, examples=[RUN_ID])]


class RequestBody(BaseModel):
    """The base of request bodies, which refuses a field that it does not know."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class StartRequest(RequestBody):
    """An order for a run. The first three fields are the original system's."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"userId": "u1", "goal": "Fine-tune tiny-llm", "budgetTotal": 5}}
    )

    user_id: Annotated[
        str, Field(max_length=200, description="whose run it is; a token with the role own may leave its name out")
    ] = ""
    goal: Annotated[str, Field(max_length=GOAL_MAX, description="may be empty with a job, whose name it is then")] = ""
    budget_total: Annotated[Usd, Field(description="USD, at most 6 decimals", gt=0)]
    gpu_type: Annotated[ShortText | None, Field(description="none: the job's, or A100")] = None
    max_hours: Annotated[Hours | None, Field(description="GPU hours to buy; none: the job's max_duration, or 1")] = None
    vendor_ids: Annotated[list[ShortText], Field(max_length=50, description="empty: any enabled vendor")] = []
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    planner: Annotated[
        str, Field(max_length=200, description="stub (rules) or llm, or NAME=WEIGHT,… to compare; empty: the default")
    ] = ""
    count: Annotated[
        int | None,
        Field(strict=True, ge=1, le=COUNT_MAX, description="jobs of this kind to complete; none: the job's, or 1"),
    ] = None
    jobs_open_max: Annotated[int, Field(strict=True, ge=1, le=AT_ONCE_MAX)] = 1
    hedge_after: HedgeAfter = None
    job: Annotated[
        dict[str, Any] | str | None,
        Field(description="what is to run: a job file, as an object or as its YAML text"),
    ] = None
    inputs: Annotated[
        dict[str, str],
        Field(max_length=FILES_MAX, description="small inputs of the job in base64, by path, 64 KiB each at most"),
    ] = {}


class TickRequest(RequestBody):
    """The run to tick or to step."""

    model_config = ConfigDict(json_schema_extra={"example": {"runId": RUN_ID}})

    run_id: RunId


class ApproveRequest(RequestBody):
    """An approval of the purchase that waits, at its quoted price."""

    model_config = ConfigDict(json_schema_extra={"example": {"amount": 12.5, "by": "Ada"}})

    amount: Annotated[Usd, Field(description="the price that waits, in USD; another amount is refused", gt=0)]
    job_id: Annotated[str, Field(max_length=64, description="the job's id, where several wait")] = ""
    by: Annotated[str, Field(max_length=100, description="who decides, if not the owner of the token")] = ""


class RejectRequest(RequestBody):
    """A refusal of the purchase that waits."""

    model_config = ConfigDict(json_schema_extra={"example": {"why": "too dear", "by": "Ada"}})

    why: Annotated[str, Field(min_length=1, max_length=500)]
    job_id: Annotated[str, Field(max_length=64, description="the job's id, where several wait")] = ""
    by: Annotated[str, Field(max_length=100, description="who decides, if not the owner of the token")] = ""


class CancelRequest(RequestBody):
    """An order to end the run."""

    model_config = ConfigDict(json_schema_extra={"example": {"why": "wrong goal", "by": "Ada"}})

    why: Annotated[str, Field(min_length=1, max_length=500)]
    by: Annotated[str, Field(max_length=100, description="who decides, if not the owner of the token")] = ""
