"""The vendor API's requests and answers. OpenAPI is made from these models: they are the contract."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class QuoteRequest(WireModel):
    job_type: Annotated[str, Field(min_length=1, max_length=100)]
    gpu_type: Annotated[str, Field(min_length=1, max_length=100)]
    max_hours: Annotated[Decimal, Field(gt=0, le=1000, decimal_places=6, allow_inf_nan=False)]
    job_metadata: dict[str, Any] = Field(default_factory=dict)
    workload: Annotated[dict[str, Any] | None, Field(description="the job file to run, without values of secrets")] = (
        None
    )
    resume: Annotated[
        dict[str, Any] | None,
        Field(description="the checkpoint to go on from: {sha256, files: [{path, bytes, sha256}]}"),
    ] = None


class QuoteAnswer(WireModel):
    vendor_job_template_id: str
    price_estimate: Annotated[float, Field(description="the binding price in USDC, at most 6 decimal places")]
    currency: Literal["USDC"] = "USDC"
    eta_minutes: int
    expires_at: Annotated[str, Field(description="ISO 8601, UTC")]
    pay_to: str
    network: Annotated[str, Field(description="CAIP-2")]
    asset: str
    signer: Annotated[
        str | None, Field(exclude=True, description="with `signature`: EIP-191, of the compact sorted JSON of all else")
    ] = None
    signature: Annotated[str | None, Field(exclude=True)] = None


class WorkQuoteAnswer(QuoteAnswer):
    """A quote for a workload."""

    accepts: Annotated[list[str], Field(description="what the vendor can: workload, files, checkpoint, cancel")]
    workload_hash: Annotated[
        str, Field(description="the SHA-256 of the workload's JSON, sorted and compact: the price is for that")
    ]


class SubmitRequest(WireModel):
    vendor_job_template_id: Annotated[
        str,
        Field(max_length=200, description="the quote that is bought; without one the 402 is the quote of jobParams"),
    ] = ""
    job_params: Annotated[
        dict[str, Any], Field(description="with a workload: gpuType, maxHours, workload, resume, as they were quoted")
    ] = Field(default_factory=dict)
    inline: Annotated[
        dict[str, str], Field(max_length=2_000, description="inputs of at most 64 KiB: base64 by SHA-256")
    ] = Field(default_factory=dict)
    secrets: Annotated[
        dict[str, SecretStr], Field(max_length=50, description="with the payment: values of the workload's secrets")
    ] = Field(default_factory=dict)


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


class ListedFile(WireModel):
    path: str
    bytes: int
    sha256: str


class ListedCheckpoint(WireModel):
    """The newest checkpoint that is whole. Its paths are within its folder."""

    sha256: Annotated[
        str, Field(description="of the JSON of its files as {bytes, path, sha256}, by path, sorted and compact")
    ]
    files: list[ListedFile]


class WorkStatusAnswer(WireModel):
    """The state of a job with a workload."""

    vendor_job_id: str
    status: Literal["running", "completed", "failed"]
    phase: Annotated[str, Field(description="queued, preparing, running or ended")]
    exit_code: Annotated[int | None, Field(description="of the program; null where it was ended, or its node lost")]
    progress: Annotated[float, Field(ge=0, le=1, description="the newest checkpoint's own word")]
    logs: Annotated[list[str], Field(description="the lines since `after`")]
    metrics: Annotated[list[dict[str, int | float]], Field(description="the metrics since `after`")]
    cursor: Annotated[str, Field(max_length=200, description="what to give as `after` next")]
    files: Annotated[list[ListedFile] | None, Field(description="the outputs that are there, once it has ended")]
    checkpoint: ListedCheckpoint | None
    estimated_remaining_minutes: float
    cost_so_far: Annotated[float, Field(description="USDC")]
    final_metrics: dict[str, float] | None = None
    artifact_url: str | None = None
    error_message: str | None


class InputState(WireModel):
    received: Annotated[int, Field(ge=0, description="how many bytes of it are here")]
    complete: bool


class InputTaken(WireModel):
    received: Annotated[int, Field(ge=0, description="how many bytes of it are here")]


class InputRefusedAnswer(WireModel):
    error: str
    message: str
    received: Annotated[int, Field(ge=0, description="where the next piece has to start")]


class CancelRequest(WireModel):
    vendor_job_id: Annotated[str, Field(min_length=1, max_length=200)]


class CancelAnswer(WireModel):
    status: Annotated[str, Field(description="running while it is being ended")]


class ErrorAnswer(WireModel):
    error: Annotated[str, Field(description="a code to compare with")]
    message: Annotated[str, Field(description="a sentence for people")]
