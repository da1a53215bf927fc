"""The parts of a job file: what a job needs of a machine, reads and leaves, and when it counts as done."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from gpuagent.core.job_fields import GPU, Bytes, FilePath, FolderPath, JobPart, Seconds, Sha256
from gpuagent.core.model import AT_ONCE_MAX, COUNT_MAX

OUTPUT_MAX = 64_000_000
"""Bytes of an output that names no limit of its own."""


class Resources(JobPart):
    """What the job needs of a machine."""

    gpu: Annotated[str, StringConstraints(pattern=GPU)] = Field(
        "A100", description="the GPU's type, and after a colon how many: A100:1"
    )
    gpu_memory: Bytes | None = None
    cpu: Annotated[int, Field(gt=0, le=1024)] | None = None
    memory: Bytes | None = None
    disk: Bytes | None = None

    @property
    def gpu_type(self) -> str:
        return self.gpu.partition(":")[0]

    @property
    def gpu_count(self) -> int:
        return int(self.gpu.partition(":")[2] or 1)


class Input(JobPart):
    """A file that the job reads. file: where it is here; url: where it is fetched from. sha256: its content."""

    path: FilePath
    file: str | None = Field(None, description="a file beside the job file; its content is stored with the run")
    url: str | None = Field(None, description="https, fetched when the run starts; sha256 is needed with it")
    sha256: Sha256 | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file and self.url:
            raise ValueError("has both file and url: choose one of them")
        if not (self.file or self.url or self.sha256):
            raise ValueError("has no source: name a file, or a url with its sha256")
        if self.url and not self.url.startswith("https://"):
            raise ValueError("its url is not https")
        if self.url and "@" in self.url.removeprefix("https://").partition("/")[0]:
            raise ValueError("its url has a user or password, and the job file is stored and sent as it is")
        if self.url and not self.sha256:
            raise ValueError("has a url without sha256, so nothing says whether the right file came")
        return self


class Output(JobPart):
    """A file that the job leaves. required: without it the job has failed."""

    path: FilePath
    max_bytes: Bytes = OUTPUT_MAX
    required: bool = True


class CheckpointRule(JobPart):
    """The folder from which another vendor can go on, and how often it is fetched."""

    path: FolderPath
    every: Seconds = 600


class MetricTest(JobPart):
    """A bound that the last value of a metric has to keep."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    at_most: Decimal | None = Field(None, strict=False)
    at_least: Decimal | None = Field(None, strict=False)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("has no bound: name at_most, at_least, or both")
        return self

    def problem(self, metrics: Mapping[str, object]) -> str:
        """The reason why these metrics fail the test; empty where they pass."""
        value = metrics.get(self.name)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return f"the job reported no number {self.name}"
        number = Decimal(str(value))
        if not number.is_finite():
            return f"{self.name} is {number}"
        if self.at_most is not None and number > self.at_most:
            return f"{self.name} is {number}, above {self.at_most}"
        if self.at_least is not None and number < self.at_least:
            return f"{self.name} is {number}, below {self.at_least}"
        return ""


class Success(JobPart):
    """The user's own test of whether the work is done. Required outputs must also be there."""

    exit_code: Annotated[int, Field(ge=0, le=255)] | None = 0
    metric: MetricTest | None = None


class Jobs(JobPart):
    """How many jobs of this kind the run has to complete, each with a number of its own: a sweep."""

    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] = Field(
        1, description="jobs to complete; each of several gets its number, from 0, as GPUAGENT_JOB_INDEX"
    )
    at_once: Annotated[int, Field(ge=1, le=AT_ONCE_MAX)] = Field(1, description="jobs that may be open at once")
    hedge_after: Seconds | None = Field(
        None, description="buy a job that is so late once more, at another vendor; none: never"
    )
