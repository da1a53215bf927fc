"""Response bodies: camelCase, numbers of USD, times in ISO 8601."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gpuagent.api.requests import RUN_ID


class ResponseBody(BaseModel):
    """The base of response bodies, which may hold more fields than are declared."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class RunResponse(ResponseBody):
    """A run, with amounts in USD. A run of the original system may lack some of its fields."""

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


class UploadResponse(ResponseBody):
    """How far a file has come. complete: jobs may name it by its SHA-256."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"sha256": "0" * 64, "size": 1024, "received": 1024, "complete": True}}
    )

    sha256: str
    size: int
    received: int
    complete: bool


class RunListResponse(ResponseBody):
    """A page of runs."""

    runs: list[RunResponse]
    next: Annotated[str | None, Field(description="`before` of the next page; null on the last one")]


class TimelineEntryResponse(ResponseBody):
    """An entry of a run's timeline. decision: its number, where it is one."""

    id: str
    kind: Literal["decision", "payment", "job", "problem", "message"]
    at: str
    text: str
    job_id: str | None
    vendor_id: str | None
    decision: int | None


class TimelineResponse(ResponseBody):
    """A page of a run's timeline."""

    entries: list[TimelineEntryResponse]
    next: Annotated[str | None, Field(description="`after` of the next page; null on the last one")]


class TimelineRecordResponse(ResponseBody):
    """All that is recorded of an entry of a timeline."""

    entry: dict[str, Any]
    job: dict[str, Any] | None
    payment: dict[str, Any] | None


class StatusResponse(ResponseBody):
    """A run with its jobs, payments and observations."""

    run: RunResponse
    jobs: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    observations: list[dict[str, Any]]


class PlannerAction(ResponseBody):
    """A decision of the planner."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"action": "start_job", "vendorId": "gpu_vendor_1", "maxHours": 1, "reason": "best value"}
        }
    )

    action: Literal["start_job", "wait", "abort"]
    reason: str


class TickResponse(ResponseBody):
    """What a tick or a step did."""

    message: Annotated[
        str, Field(description="what happened; several events are joined by `; `", examples=["Job started"])
    ]
    action: Annotated[PlannerAction | None, Field(description="the planner's decision, if it made one")]
    run: RunResponse


class RunControlResponse(ResponseBody):
    """The run after an approval, a refusal or a cancellation."""

    message: str
    run: RunResponse


class InboxResponse(ResponseBody):
    """Everything that waits for a user, with amounts in USD. more: there are others that were not read."""

    items: list[dict[str, Any]]
    more: bool


class FileListResponse(ResponseBody):
    """The files of a run. deletedAt: when retention deleted a content; the record stays."""

    files: list[dict[str, Any]]


class VendorListResponse(ResponseBody):
    """All vendors, with prices in USD."""

    vendors: list[dict[str, Any]]


class SpendGroup(ResponseBody):
    """The spending of one group, in USD."""

    key: Annotated[str, Field(description="a vendor, day, user, planner or tag")]
    settled: float
    wasted: float
    payments: int
    jobs_completed: int


class SpendResponse(ResponseBody):
    """USD that was settled on chain. unproven: payments that the original system claims; they are part of no sum."""

    by: str
    since: str
    until: str
    settled: float
    wasted: float
    groups: list[SpendGroup]
    unproven: dict[str, float]


class MonthBudgetShare(ResponseBody):
    """A budget over a calendar month, in USD. share: 1 is all of it. perDay: settled a day; forecast: at its end."""

    kind: Literal["tag", "user"]
    name: str
    month: str
    amount: float
    settled: float
    held: float
    share: float
    per_day: float
    forecast: float
    ends_at: str


class BudgetListResponse(ResponseBody):
    """The budgets over months, the fullest first. zone: where months begin."""

    zone: str
    budgets: list[MonthBudgetShare]


class TickedRun(ResponseBody):
    """A tick that was made."""

    run_id: str
    message: str
    phase: str


class FailedTick(ResponseBody):
    """A tick that failed, with the problem's code and detail."""

    run_id: str
    code: str
    detail: str


class TickDueResponse(ResponseBody):
    """The ticks of one call. left: due runs that it did not reach; the next call begins with them."""

    ticked: list[TickedRun]
    failed: list[FailedTick]
    left: int
    seconds: float


class Health(ResponseBody):
    """The sign that the server answers."""

    status: Literal["ok"]
