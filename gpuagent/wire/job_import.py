"""Task files of SkyPilot and dstack as job files. What does not map is named and refused, never dropped.

SkyPilot's task: https://docs.skypilot.co/en/latest/reference/yaml-spec.html; dstack's task configuration:
https://dstack.ai/docs/reference/dstack.yml/task/.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from gpuagent.errors import BadInput
from gpuagent.wire.job_file import read_job_file
from gpuagent.wire.yaml_text import parse_yaml

Task = Mapping[str, Any]
NO_GPU = "CPU"
"""What a task that names no GPU asks for, as it runs without one there too."""


def import_job(body: bytes, name: str) -> str:
    """The job file, in YAML, of a task of SkyPilot or dstack. Raises BadInput naming every field that does not map."""
    task = parse_yaml(body, name).value
    if not isinstance(task, dict):
        raise BadInput(f"{name} is no task: it has no fields")
    convert = _dstack if task.get("type") == "task" else _skypilot
    converter = convert(dict(task))
    job = {field: value for field, value in converter.job.items() if value not in ("", {}, [], None)}
    if converter.problems:
        raise BadInput("\n".join(f"{name}: {problem}" for problem in converter.problems))
    text = yaml.dump(job, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    read_job_file(text.encode(), f"{name}, imported")
    return str(text)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes texts of several lines as such, as people do."""


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text.strip("\n"), style="|" if "\n" in text.strip() else None
    )


_Dumper.add_representer(str, _text)


class _Fields:
    """A task's fields, taken one by one; what nothing takes is a problem."""

    def __init__(self, task: dict[str, Any], prefix: str = "") -> None:
        self._task, self._prefix = task, prefix
        self.problems: list[str] = []
        self.job: dict[str, Any] = {}

    def take(self, name: str, default: Any = "") -> Any:
        value = self._task.pop(name, None)
        return default if value is None else value

    def refuse(self, name: str, reason: str) -> None:
        self.problems.append(f"{self._prefix}{name}: {reason}")

    def part(self, name: str) -> "_Fields":
        value = self.take(name, {})
        if not isinstance(value, dict):
            self.refuse(name, "is not read in this form: write its fields")
            value = {}
        return _Fields(value, f"{self._prefix}{name}.")

    def finish(self, *parts: "_Fields") -> "_Fields":
        for name in self._task:
            self.refuse(str(name), "a job file has nothing like it: take it out, or do it in setup or command")
        for part in parts:
            self.problems += part.finish().problems
        return self


def _skypilot(task: dict[str, Any]) -> _Fields:
    fields = _Fields(task)
    resources = fields.part("resources")
    if (nodes := fields.take("num_nodes", 1)) != 1:
        fields.refuse("num_nodes", f"{nodes} nodes: a job runs on one")
    if fields.take("workdir"):
        fields.refuse("workdir", "a folder is not sent: name each file that the job reads under inputs")
    accelerators = resources.take("accelerators", resources.take("gpus", NO_GPU))
    if isinstance(accelerators, dict) and len(accelerators) == 1:
        accelerators = next(f"{gpu}:{count}" for gpu, count in accelerators.items())
    if not isinstance(accelerators, str):
        resources.refuse("accelerators", "a choice of several: name one")
    image = str(resources.take("image_id")).removeprefix("docker:")
    disk = resources.take("disk_size", None)
    fields.job = {
        "name": _name(fields.take("name", "imported")),
        "image": image,
        "setup": fields.take("setup"),
        "command": fields.take("run"),
        "env": _variables(fields, "envs"),
        "secrets": _names(fields, "secrets"),
        "resources": {
            "gpu": accelerators,
            **_number(resources, "cpus", "cpu", lambda count: int(count)),
            **_number(resources, "memory", "memory", lambda size: size if size[-1:].isalpha() else f"{size}GB"),
            **({} if disk is None else {"disk": f"{disk}GB" if isinstance(disk, int) else disk}),
        },
        "inputs": list(_mounts(fields)),
    }
    return fields.finish(resources)


def _dstack(task: dict[str, Any]) -> _Fields:
    fields = _Fields(task)
    fields.take("type")
    resources = fields.part("resources")
    if (nodes := fields.take("nodes", 1)) != 1:
        fields.refuse("nodes", f"{nodes} nodes: a job runs on one")
    commands = fields.take("commands", [])
    python = fields.take("python")
    duration = fields.take("max_duration")
    disk = resources.take("disk", None)
    disk = disk.get("size") if isinstance(disk, dict) and set(disk) == {"size"} else disk
    fields.job = {
        "name": _name(fields.take("name", "imported")),
        "image": fields.take("image") or (f"docker.io/library/python:{python}-slim" if python else ""),
        "command": " &&\n".join(map(str, commands)) if isinstance(commands, list) else commands,
        **_dstack_environment(fields),
        "resources": {
            **_dstack_gpu(resources),
            **_number(resources, "cpu", "cpu", lambda count: int(count)),
            **_number(resources, "memory", "memory", str),
            **({} if disk is None else _least("disk", str(disk))),
        },
        **({"max_duration": duration} if duration not in ("", "off") else {}),
        "inputs": [{"path": path, "file": f"./{path}"} for path in _files(fields)],
    }
    return fields.finish(resources)


def _dstack_gpu(resources: _Fields) -> dict[str, object]:
    """The type with its number, and its memory: dstack writes A100:80GB:2, or an object of the three."""
    gpu = resources.take("gpu", NO_GPU)
    if isinstance(gpu, dict) and set(gpu) <= {"name", "memory", "count"}:
        gpu = ":".join(str(gpu[field]) for field in ("name", "memory", "count") if field in gpu)
    if not isinstance(gpu, str) or not gpu[:1].isalpha() or "," in gpu:
        resources.refuse("gpu", "name one type of GPU, such as A100:1")
        return {}
    name, *sizes = gpu.split(":")
    memory = next((size for size in sizes if size.rstrip(".")[-1:].isalpha()), "")
    counts = [size for size in sizes if size != memory]
    return {"gpu": ":".join([name, *counts]), **(_least("gpu_memory", memory) if memory else {})}


def _name(text: Any) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", str(text).lower()).strip("-._")[:63] or "imported"


def _number(fields: _Fields, name: str, field: str, form: Callable[[str], object]) -> dict[str, object]:
    """A lower bound such as 8+ or 8.. is what a job file's number is."""
    value = str(fields.take(name, ""))
    if not value:
        return {}
    least = value.removesuffix("+").removesuffix("..")
    try:
        return {field: form(least)}
    except ValueError:
        fields.refuse(name, f"{value!r} is no number that a job file can hold")
        return {}


def _least(field: str, value: str) -> dict[str, object]:
    return {field: value.removesuffix("..").removesuffix("+")}


def _variables(fields: _Fields, name: str) -> dict[str, str]:
    variables = fields.take(name, {})
    if not isinstance(variables, dict):
        fields.refuse(name, "write NAME: value")
        return {}
    for variable, value in variables.items():
        if value is None:
            fields.refuse(f"{name}.{variable}", "has no value: give it one, or name it under secrets")
    return {str(variable): str(value) for variable, value in variables.items() if value is not None}


def _names(fields: _Fields, name: str) -> list[str]:
    secrets = fields.take(name, {})
    if isinstance(secrets, dict):
        for secret, value in secrets.items():
            if value:
                fields.refuse(f"{name}.{secret}", "its value stands in the file: leave it empty, and set the variable")
        return [str(secret) for secret in secrets]
    return [str(secret) for secret in secrets]


def _mounts(fields: _Fields) -> Iterator[dict[str, str]]:
    mounts = fields.take("file_mounts", {})
    if not isinstance(mounts, dict):
        fields.refuse("file_mounts", "write PATH: FILE")
        return
    for path, source in mounts.items():
        relative = str(path).removeprefix("~/").removeprefix("./")
        if not isinstance(source, str) or "://" in source:
            fields.refuse(f"file_mounts.{path}", "no bucket is mounted: name each file under inputs, with its sha256")
        elif relative.startswith("/"):
            fields.refuse(f"file_mounts.{path}", "inputs lie in the job's folder: give it a relative path")
        else:
            yield {"path": relative, "file": source}


def _files(fields: _Fields) -> Iterator[str]:
    for entry in fields.take("files", []):
        if isinstance(entry, str) and ":" not in entry:
            yield entry.removeprefix("./")
        else:
            fields.refuse("files", f"{entry!r} is not read in this form: name each file under inputs")


def _dstack_environment(fields: _Fields) -> dict[str, Any]:
    """dstack writes env as NAME=value, as a bare NAME, which is the shell's, or as a mapping."""
    entries = fields.take("env", [])
    if isinstance(entries, dict):
        return {"env": {str(name): str(value) for name, value in entries.items()}}
    pairs = [str(entry).partition("=") for entry in entries]
    return {
        "env": {name: value for name, sign, value in pairs if sign},
        "secrets": [name for name, sign, _ in pairs if not sign],
    }
