"""The types of the fields of a job file: names, paths, durations, sizes, and what each asks for in words."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from gpuagent.core.paths import path_problem
from gpuagent.core.units import parse_duration, parse_size

TEXT_MAX = 64_000
"""Characters of a command or of setup."""


def _path(text: str) -> str:
    if problem := path_problem(text):
        raise ValueError(f"{text!r} {problem}")
    return text


def _folder(text: str) -> str:
    return _path(text.removesuffix("/"))


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def integers_as_text(env: Any) -> Any:
    """YAML has {EPOCHS: 3} for {EPOCHS: "3"}. A float or a boolean is not taken: its text would be a guess."""
    if not isinstance(env, Mapping):
        return env
    return {name: str(value) if type(value) is int else value for name, value in env.items()}


NAME, VARIABLE, SHA256 = r"^[a-z0-9][a-z0-9._-]{0,62}$", r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", r"^[0-9a-f]{64}$"
GPU, IMAGE = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}(:[1-9][0-9]?)?$", r"^\S{0,512}$"
FORMS = {
    NAME: "is to be 1 to 63 small letters, digits, dots, dashes, and begin with a letter or digit",
    VARIABLE: "is no name of a variable: letters, digits and _, and no digit first",
    SHA256: "is no SHA-256: 64 hex digits in small letters",
    GPU: "is no GPU: a type, and after a colon how many, such as A100:1",
    IMAGE: "is no image: a name without blanks",
}
"""What each pattern asks for, in words."""
Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME)]
Variable: TypeAlias = Annotated[str, StringConstraints(pattern=VARIABLE)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=SHA256)]
FilePath: TypeAlias = Annotated[str, AfterValidator(_path)]
FolderPath: TypeAlias = Annotated[str, AfterValidator(_folder)]
Seconds: TypeAlias = Annotated[
    int,
    BeforeValidator(_seconds),
    Field(gt=0, le=30 * 86_400),
    WithJsonSchema({"type": ["string", "integer"], "description": "a duration such as 2h or 1h30m, or seconds"}),
]
Bytes: TypeAlias = Annotated[
    int,
    BeforeValidator(_bytes),
    Field(gt=0, le=10**15),
    WithJsonSchema({"type": ["string", "integer"], "description": "a size such as 64MB or 1.5GiB, or bytes"}),
]
Text: TypeAlias = Annotated[str, StringConstraints(max_length=TEXT_MAX)]


class JobPart(BaseModel):
    """A part of the job file: immutable, and with no field that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")
