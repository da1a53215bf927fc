"""A workload: what is to run, with which files, what it must leave, and when it counts as done.

It is the job file as a value. Its canonical JSON, and the SHA-256 of that, are what is stored, quoted and ordered.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from gpuagent.core.job_fields import IMAGE, JobPart, Name, Seconds, Text, Variable, integers_as_text
from gpuagent.core.job_parts import CheckpointRule, Input, Jobs, Output, Resources, Success
from gpuagent.core.job_secrets import is_own_variable, looks_secret
from gpuagent.core.orders import COUNT_VARIABLE, INDEX_VARIABLE
from gpuagent.core.paths import twins
from gpuagent.core.text import canonical

METRICS = "metrics.jsonl"
"""The file to which a job appends a metric as a line of JSON, such as {"step": 40, "loss": 2.1}."""
PROGRESS = "progress.json"
"""The file in the checkpoint's folder with the program's own word on how far it reaches: {"fraction": 0.47}."""
RESUME_VARIABLE = "GPUAGENT_RESUME"
"""The variable of a job that names the folder with the checkpoint to go on from; unset for a first start."""
FILES_MAX = 1_000
ENV_MAX = 200
Source = Callable[[], Iterable[bytes]]
"""Opens the stream of one content. Raises BadInput, then and while it is read, where the content cannot be had."""
STORED = object()
"""The context in which a workload is validated that was ordered before."""


class Workload(JobPart):
    """What is to run, as its user wrote it."""

    name: Name
    image: Annotated[str, StringConstraints(pattern=IMAGE)] = Field(
        "", description="a container image, best by digest; empty: the vendor's own environment"
    )
    setup: Text = ""
    command: Text | Annotated[list[Text], Field(min_length=1, max_length=1_000)] = Field(
        description="a string is run by sh -c, a list is an argv"
    )
    env: Annotated[dict[Variable, Text], BeforeValidator(integers_as_text)] = Field(
        default_factory=dict, max_length=ENV_MAX
    )
    secrets: Annotated[list[Variable], Field(max_length=50)] = Field(
        default_factory=list, description="names of variables whose values are sent when the job is, and stored nowhere"
    )
    resources: Resources = Resources(gpu="A100")
    max_duration: Seconds = Field(3600, description="the hours that are bought: 2h, 90m")
    inputs: Annotated[list[Input], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    outputs: Annotated[list[Output], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    checkpoint: CheckpointRule | None = None
    success: Success = Success()
    on_exit: dict[Annotated[int, Field(ge=0, le=255)], Literal["retry", "stop"]] = Field(
        default_factory=dict, description="what an exit code means: retry elsewhere, or stop the run"
    )
    program_failures: Annotated[int, Field(ge=1, le=8)] = Field(
        2, description="the run ends when so many vendors report the same exit code"
    )
    jobs: Jobs | None = Field(None, description="several jobs of this kind in one run, under one budget")

    @field_validator("command")
    @classmethod
    def _is_something(cls, command: str | list[str]) -> str | list[str]:
        if not (command.strip() if isinstance(command, str) else command[0].strip()):
            raise ValueError("is empty: what is to be run?")
        if "\0" in "".join(command):
            raise ValueError("has a NUL character, which no command can hold")
        return command

    @field_validator("env")
    @classmethod
    def _no_secrets(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if looks_secret(name, value):
                raise ValueError(f"{name} looks like a secret, and env is stored and sent as it is: name it in secrets")
            if "\0" in value:
                raise ValueError(f"{name} has a NUL character, which no variable can hold")
        return env

    @field_validator("secrets")
    @classmethod
    def _none_of_ours(cls, secrets: list[str], info: ValidationInfo) -> list[str]:
        # One that was ordered stays readable when more variables become the agent's own: none of them is ever sent.
        if info.context is not STORED and (own := next(filter(is_own_variable, secrets), None)):
            raise ValueError(
                f"{own} is the agent's own, and goes to no vendor: keep the job's value in another variable"
            )
        return secrets

    @model_validator(mode="after")
    def _no_twins(self) -> Self:
        for kind, paths in (("inputs", self.inputs), ("outputs", self.outputs)):
            if pair := twins(file.path for file in paths):
                raise ValueError(f"{kind} {pair[0]!r} and {pair[1]!r} would be one file on some system")
        if both := sorted({*self.env} & {*self.secrets}):
            raise ValueError(f"{both[0]} stands in env and in secrets: choose one of them")
        if RESUME_VARIABLE in {*self.env, *self.secrets}:
            raise ValueError(f"{RESUME_VARIABLE} is set by the vendor, when there is a checkpoint to go on from")
        if self.jobs:
            self.check_several()
        if self.checkpoint and any(
            f"{output.path}/".casefold().startswith(f"{self.checkpoint.path}/".casefold()) for output in self.outputs
        ):
            raise ValueError(f"an output lies in the checkpoint's folder {self.checkpoint.path}: keep them apart")
        return self

    def check_several(self) -> None:
        """Raises ValueError where the job names a variable by which each of several learns which it is."""
        if own := {INDEX_VARIABLE, COUNT_VARIABLE} & {*self.env, *self.secrets}:
            raise ValueError(f"{min(own)} is set for each of several jobs: name your own variable otherwise")
        if len(self.env) > ENV_MAX - 2:
            raise ValueError(f"env has {len(self.env)} variables, and each of several jobs gets two more of {ENV_MAX}")

    @property
    def hours(self) -> Decimal:
        """GPU hours to buy, in hundredths, rounded up."""
        return (Decimal(self.max_duration) / 36).to_integral_value(rounding=ROUND_CEILING) / 100

    @property
    def local_files(self) -> dict[str, str]:
        """The inputs whose content is to be read here: the file of each path."""
        return {entry.path: entry.file for entry in self.inputs if entry.file}

    def sealed(self, contents: Mapping[str, tuple[str, int]]) -> "Workload":
        """This workload with the SHA-256 and the bytes of its local files, by path, in place of where they were.

        Files that contents does not have stay as they are. Raises ValueError where one is not what its sha256 names.
        """
        inputs = []
        for entry in self.inputs:
            if not entry.file or entry.path not in contents:
                inputs.append(entry)
                continue
            sha256, size = contents[entry.path]
            if entry.sha256 not in (None, sha256):
                raise ValueError(f"{entry.file} has the SHA-256 {sha256}, and the job file names {entry.sha256}")
            inputs.append(entry.model_copy(update={"file": None, "sha256": sha256, "bytes": size}))
        return self.model_copy(update={"inputs": inputs})

    def measured(self, sizes: Mapping[str, int]) -> "Workload":
        """This workload once its inputs are kept here: with the bytes of each, by SHA-256.

        A url stays, for users to read, without its query, which may be a key.
        """
        inputs = []
        for entry in self.inputs:
            update: dict[str, Any] = {"bytes": sizes.get(entry.sha256 or "", entry.bytes)}
            if entry.url:
                parts = urlsplit(entry.url)
                update["url"] = f"{parts.scheme}://{parts.netloc}{parts.path}"
            inputs.append(entry.model_copy(update=update))
        return self.model_copy(update={"inputs": inputs})

    @property
    def canonical(self) -> str:
        """The one JSON text of this workload: sorted, compact, defaults written out, seconds and bytes as integers.

        Defaults are in it, so that a stored workload means the same under every later version.
        """
        return canonical(self.model_dump(mode="json", exclude_none=True))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical.encode()).hexdigest()


@lru_cache(maxsize=64)
def from_canonical(text: str) -> Workload:
    """The workload of a canonical text, as it was stored."""
    return Workload.model_validate_json(text, context=STORED)
