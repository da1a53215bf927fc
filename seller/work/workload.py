"""The fields of an ordered workload that a runner needs, checked: what a seller reads of a buyer's job file.

All else in it is the buyer's own business, and is hashed and stored as it came.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

PATH_MAX, PART_MAX, DEPTH_MAX, FILES_MAX, TEXT_MAX = 512, 200, 16, 1_000, 64_000


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is no Unicode text") from None
    return text


def _path(text: str) -> str:
    parts = text.removesuffix("/").split("/")
    if any(part in ("", ".", "..") or len(part.encode()) > PART_MAX for part in parts):
        raise ValueError("is no plain relative path")
    if len(text.encode()) > PATH_MAX or len(parts) > DEPTH_MAX or "\\" in text or not text.isprintable():
        raise ValueError("is no path that every system takes")
    return text.removesuffix("/")


Text: TypeAlias = Annotated[str, StringConstraints(max_length=TEXT_MAX), AfterValidator(_text)]
FilePath: TypeAlias = Annotated[str, AfterValidator(_text), AfterValidator(_path)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Variable: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class WorkPart(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class InputFile(WorkPart):
    path: FilePath
    sha256: Sha256
    url: str | None = None


class OutputFile(WorkPart):
    path: FilePath


class CheckpointFolder(WorkPart):
    path: FilePath


class Workload(WorkPart):
    """What is to run. image: a container's; "" for the seller's own environment."""

    command: Text | Annotated[list[Text], Field(min_length=1, max_length=1_000)]
    image: str = ""
    setup: Text = ""
    env: Annotated[dict[Variable, Text], Field(max_length=200)] = Field(default_factory=dict)
    secrets: Annotated[list[Variable], Field(max_length=50)] = Field(default_factory=list)
    inputs: Annotated[list[InputFile], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    outputs: Annotated[list[OutputFile], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    checkpoint: CheckpointFolder | None = None


class Resume(WorkPart):
    """The checkpoint to go on from. sha256: of its manifest."""

    sha256: Sha256
    files: Annotated[list[InputFile], Field(min_length=1, max_length=FILES_MAX)]


class WorkOrder(WorkPart):
    """A workload, and what it is to go on from."""

    workload: Workload
    resume: Resume | None = None

    @model_validator(mode="after")
    def _one_file_a_path(self) -> Self:
        for files in (self.workload.inputs, self.resume.files if self.resume else []):
            paths = {file.path for file in files}
            folders = {folder for path in paths for folder in accumulate(path.split("/")[:-1], "{}/{}".format)}
            if len(paths) < len(files) or paths & folders:
                raise ValueError("two files have one path, or one is the folder of another")
        return self

    @property
    def inputs(self) -> dict[str, str]:
        """The SHA-256 of each input, by its path in the working folder."""
        return {file.path: file.sha256 for file in self.workload.inputs}

    @property
    def checkpoint(self) -> dict[str, str]:
        """The SHA-256 of each file of the checkpoint to go on from, by its path within that."""
        return {file.path: file.sha256 for file in self.resume.files} if self.resume else {}

    @property
    def needed(self) -> set[str]:
        return {*self.inputs.values(), *self.checkpoint.values()}


def canonical(value: object) -> str:
    """The JSON text that buyer and seller both hash: sorted, compact, characters as they are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Mapping[str, Any]) -> str:
    """The hex SHA-256 of a value's canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
