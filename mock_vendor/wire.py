"""The vendor API's requests and answers. OpenAPI is made from these models: they are the contract."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class QuoteRequest(WireModel):
    job_type: Annotated[str, Field(min_length=1, max_length=100)]
    gpu_type: Annotated[str, Field(min_length=1, max_length=100)]
    max_hours: Annotated[Decimal, Field(gt=0, le=1000, decimal_places=6, allow_inf_nan=False)]
    job_metadata: dict[str, Any] = Field(default_factory=dict)


class QuoteAnswer(WireModel):
    vendor_job_template_id: str
    price_estimate: Annotated[float, Field(description="the binding price in USDC, at most 6 decimal places")]
    currency: Literal["USDC"] = "USDC"
    eta_minutes: int
    expires_at: Annotated[str, Field(description="ISO 8601, UTC")]
    pay_to: str
    network: Annotated[str, Field(description="CAIP-2")]
    asset: str


class SubmitRequest(WireModel):
    vendor_job_template_id: Annotated[str, Field(min_length=1, max_length=200)]
    job_params: dict[str, Any] = Field(default_factory=dict)


class SubmitAnswer(WireModel):
    vendor_job_id: str
    status: Literal["submitted"] = "submitted"


class JobStatusAnswer(WireModel):
    vendor_job_id: str
    status: Literal["running", "completed", "failed"]
    progress: Annotated[float, Field(ge=0, le=1)]
    logs: Annotated[list[str], Field(description="every line so far; later answers only add to it")]
    estimated_remaining_minutes: float
    cost_so_far: Annotated[float, Field(description="USDC")]
    metrics: dict[str, float] | None
    final_metrics: dict[str, float] | None
    artifact_url: str | None
    error_message: str | None


class ErrorAnswer(WireModel):
    error: Annotated[str, Field(description="a code to compare with")]
    message: Annotated[str, Field(description="a sentence for people")]
