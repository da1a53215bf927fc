"""What goes over the wire: camelCase, numbers of USD, times in ISO 8601. Examples are the original system's."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from gpuagent.agent.start import GOAL_MAX, TAG_MAX
from gpuagent.core.model import JOBS_MAX

RUN_ID = "66a1f2c9d53a3f9ef1f0c123"


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("is to be a number, such as 5 or 1.4")  # noqa: TRY004 - pydantic explains a ValueError
    return Decimal(repr(value)) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""An amount as JSON has it. Its digits are taken as they are written: 0.1 is a tenth."""
Hours = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=Decimal("0.01"), le=720),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 720}),
]
ShortText = Annotated[str, Field(min_length=1, max_length=64)]
Tag = Annotated[str, Field(min_length=1, max_length=TAG_MAX)]
RunId = Annotated[str, Field(min_length=1, max_length=64, examples=[RUN_ID])]


class Asked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class StartRequest(Asked):
    """What a person wants. The first three fields are the original's."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"userId": "u1", "goal": "Fine-tune tiny-llm", "budgetTotal": 5}}
    )

    user_id: Annotated[str, Field(min_length=1, max_length=200)]
    goal: Annotated[str, Field(min_length=1, max_length=GOAL_MAX)]
    budget_total: Annotated[Usd, Field(description="USD, at most 6 decimals", gt=0)]
    gpu_type: ShortText = "A100"
    max_hours: Annotated[Hours, Field(description="GPU hours to buy")] = Decimal(1)
    vendor_ids: Annotated[list[ShortText], Field(max_length=50, description="empty: any enabled vendor")] = []
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    planner: Annotated[str, Field(max_length=200, description="NAME, or NAME=WEIGHT,… to compare; empty: default")] = ""
    jobs_open_max: Annotated[int, Field(strict=True, ge=1, le=JOBS_MAX)] = 1


class TickRequest(Asked):
    model_config = ConfigDict(json_schema_extra={"example": {"runId": RUN_ID}})

    run_id: RunId


class ApproveRequest(Asked):
    model_config = ConfigDict(json_schema_extra={"example": {"amount": 12.5, "by": "Ada"}})

    amount: Annotated[Usd, Field(description="USD, as it is asked for: another amount is not approved", gt=0)]
    job_id: Annotated[str, Field(max_length=64, description="where several wait")] = ""
    by: Annotated[str, Field(max_length=100, description="who decides, where it is not the token's own name")] = ""


class RejectRequest(Asked):
    model_config = ConfigDict(json_schema_extra={"example": {"why": "too dear", "by": "Ada"}})

    why: Annotated[str, Field(min_length=1, max_length=500)]
    job_id: Annotated[str, Field(max_length=64, description="where several wait")] = ""
    by: Annotated[str, Field(max_length=100, description="who decides, where it is not the token's own name")] = ""


class CancelRequest(Asked):
    model_config = ConfigDict(json_schema_extra={"example": {"why": "wrong goal", "by": "Ada"}})

    why: Annotated[str, Field(min_length=1, max_length=500)]
    by: Annotated[str, Field(max_length=100, description="who decides, where it is not the token's own name")] = ""


class Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class RunShown(Shown):
    """A run's document, with amounts in USD. Older data of the original system may lack what is optional here."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "_id": RUN_ID,
                "userId": "u1",
                "goal": "Fine-tune tiny-llm",
                "status": "running",
                "phase": "PLANNING",
                "budgetTotal": 5,
                "budgetRemaining": 5,
                "settled": 0,
                "held": 0,
            }
        }
    )

    id: Annotated[str, Field(alias="_id")]
    user_id: str
    goal: str
    status: str
    phase: str
    budget_total: float
    budget_remaining: float
    settled: float
    held: float
    planner_cost: float


class RunList(Shown):
    runs: list[RunShown]
    next: Annotated[str | None, Field(description="`before` of the next page; null on the last one")]


class StatusShown(Shown):
    run: RunShown
    jobs: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    observations: list[dict[str, Any]]


class ActionShown(Shown):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"action": "start_job", "vendorId": "gpu_vendor_1", "maxHours": 1, "reason": "best value"}
        }
    )

    action: Literal["start_job", "wait", "abort"]
    reason: str


class TickShown(Shown):
    """message: what happened, in the original's words, several with `; ` between. action: what was decided, if so."""

    message: Annotated[str, Field(examples=["Job started"])]
    action: ActionShown | None
    run: RunShown


class ToldShown(Shown):
    message: str
    run: RunShown


class VendorList(Shown):
    vendors: list[dict[str, Any]]


class SpendGroup(Shown):
    key: Annotated[str, Field(description="a vendor, day, user, planner or tag")]
    settled: float
    wasted: float
    payments: int
    jobs_completed: int


class SpendShown(Shown):
    """USD that was settled on chain. unproven: what the original system claims to have paid; part of no sum."""

    by: str
    since: str
    until: str
    settled: float
    wasted: float
    groups: list[SpendGroup]
    unproven: dict[str, float]


class TickedRun(Shown):
    run_id: str
    message: str
    phase: str


class FailedTick(Shown):
    run_id: str
    code: str
    detail: str


class TickDueShown(Shown):
    """left: runs that are due and were not reached; the next call begins with them."""

    ticked: list[TickedRun]
    failed: list[FailedTick]
    left: int
    seconds: float


class Health(Shown):
    status: Literal["ok"]
