"""The options by which commands take a job file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.wire.job_inputs import SealedJob

JobFile = Annotated[Path | None, typer.Option("--job", help="A job file, which says what is to run.")]
JobEnv = Annotated[
    list[str] | None, typer.Option("-e", "--env", help="NAME=VALUE: replaces or adds a variable of the job.")
]
JobRoot = Annotated[
    Path | None,
    typer.Option("--root", help="The folder below which the job's inputs lie; default: the job file's own."),
]


def read_job(job: Path | None, env: list[str] | None, root: Path | None, file_max: int) -> "SealedJob | None":
    """The job of these options, its local files hashed. file_max: bytes of one. Raises BadInput, ConfigError."""
    from gpuagent.wire.download import Download
    from gpuagent.wire.egress import egress
    from gpuagent.wire.job_inputs import open_job

    if job is None:
        if env or root:
            raise BadInput("-e and --root are about a job: name it by --job FILE")
        return None
    return open_job(job, variables(env or []), Download(egress(os.environ), file_max), root, file_max)


def variables(assignments: list[str]) -> dict[str, str]:
    """The variables of NAME=VALUE arguments. Raises BadInput."""
    pairs = [assignment.partition("=") for assignment in assignments]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise BadInput(f"-e {name} lacks a value: write NAME=VALUE")
    return {name: value for name, _, value in pairs}
