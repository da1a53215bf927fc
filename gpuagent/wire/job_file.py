"""The job file: a workload in YAML or JSON, read strictly, with errors by line and field."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpuagent.core.job_fields import FORMS
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from gpuagent.wire.examples import root_of
from gpuagent.wire.yaml_text import SIZE_MAX, YamlText, parse_yaml

ERRORS_MAX = 20
_UNION_BRANCHES = {"constrained-str", "list", "str", "function-after", "function-before"}


def load_job(
    path: Path, env: Mapping[str, str], root: Path | None = None, file_max: int | None = None
) -> tuple[Workload, dict[str, Path]]:
    """A sealed workload from a job file on disk, and the local file of each SHA-256 that it names.

    env: variables that add to those of the file, or replace them. root: the folder below which all inputs lie, the job
    file's own unless given. file_max: bytes of a file. Raises BadInput.
    """
    workload = read_job_file(_read(path, path.name), path.name, env)
    return seal_job(workload, path.name, path.parent, root or root_of(path), file_max)


def seal_job(
    workload: Workload, name: str, folder: Path, root: Path, file_max: int | None = None
) -> tuple[Workload, dict[str, Path]]:
    """A workload with the SHA-256 of its local files, and the file of each. folder: from which they are named.

    Links are followed first: what lies outside of root is not read. Raises BadInput.
    """
    files = {
        entry: _inside(folder / file, root, f"{name}: inputs: {entry}") for entry, file in workload.local_files.items()
    }
    contents = {entry: _digest(file, f"{name}: inputs: {entry}", file_max) for entry, file in files.items()}
    try:
        sealed = workload.sealed(contents)
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from None
    return sealed, {contents[entry][0]: file for entry, file in files.items()}


def read_job_file(body: bytes, name: str = "job.yaml", env: Mapping[str, str] | None = None) -> Workload:
    """The workload of a job file. Raises BadInput with all that is wrong, by line and field."""
    text = parse_yaml(body, name)
    if not isinstance(text.value, dict):
        raise BadInput(f"{name}: a job file is fields and values, such as `name:` and `command:`")
    document = dict(text.value)
    if env:
        variables = document.get("env", {})
        document["env"] = {**variables, **env} if isinstance(variables, dict) else variables
    try:
        return Workload.model_validate(document)
    except ValidationError as error:
        raise BadInput("\n".join(_messages(error, text, name))) from None


def job_schema() -> str:
    """The JSON Schema of the job file, with which editors complete and check it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Workload.model_json_schema()}
    return json.dumps({**schema, "title": "gpuagent job"}, indent=2, ensure_ascii=False)


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SIZE_MAX + 1)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None


def _inside(path: Path, root: Path, name: str) -> Path:
    """The path without links. Raises BadInput where it leads out of the root."""
    try:
        real, real_root = path.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a NUL
        raise BadInput(f"{name}: {str(path)!r} is no path of a file: {error}") from None
    if not real.is_relative_to(real_root):
        place = f"{path}, a link to {real}," if path.is_symlink() else str(real)
        raise BadInput(f"{name}: {place} lies outside of {real_root}: move it there, or name a wider folder by --root")
    return real


def _digest(path: Path, name: str, file_max: int | None) -> tuple[str, int]:
    """The SHA-256 and the bytes of a file, which may be larger than memory."""
    try:
        if path.is_dir():
            raise BadInput(f"{name}: {path} is a folder: name each of its files as an input")
        if not path.is_file():
            raise BadInput(f"{name}: there is no file {path}")
        if file_max is not None and path.stat().st_size > file_max:
            raise BadInput(f"{name}: {path} has more than the {file_max:,} bytes that the policy allows for a file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise BadInput(f"{name}: {path} cannot be read: {error.strerror}") from None


def _messages(error: ValidationError, text: YamlText, name: str) -> list[str]:
    problems = error.errors(include_url=False)
    messages = {_message(problem, text, name): None for problem in problems}
    lines = list(messages)[:ERRORS_MAX]
    return [*lines, f"and {len(messages) - ERRORS_MAX} more"] if len(messages) > ERRORS_MAX else lines


def _message(problem: Any, text: YamlText, name: str) -> str:
    location: list[str | int] = [step for step in problem["loc"] if not _is_branch(step)]
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] != "value_error":
        reason = reason[:1].lower() + reason[1:]
    if problem["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        reason = f"there is no such field: {hint}"
    elif problem["type"] == "missing":
        reason = "is missing"
    elif problem["type"] == "string_pattern_mismatch":
        reason = f"{problem['input']!r} {FORMS.get(problem['ctx']['pattern'], reason)}"
    return f"{name}:{text.line(location)}: {_field(location)}{reason}"


def _is_branch(step: str | int) -> bool:
    """Pydantic names the branch of a union, and a dictionary's key, in a location."""
    return isinstance(step, str) and (step == "[key]" or step.partition("[")[0] in _UNION_BRANCHES)


def _field(location: Sequence[str | int]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return f"{path.lstrip('.')}: " if path else ""


def _fields_at(location: Sequence[str | int]) -> list[str]:
    """The fields that the schema knows at a location."""
    schema = Workload.model_json_schema()
    node: Any = schema
    for step in location:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
        node = next((branch for branch in node.get("anyOf", ()) if "$ref" in branch), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))
