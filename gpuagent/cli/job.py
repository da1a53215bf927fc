"""`gpuagent job`: job files, which say what is to run."""

from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, errors_explained, print_json
from gpuagent.cli.groups import command_group
from gpuagent.cli.job_options import JobEnv, JobRoot, variables
from gpuagent.errors import BadInput

jobs = command_group("Job files: what is to run, with which files, and when it is done.")
File = Annotated[Path, typer.Argument(help="A job file, in YAML or JSON.")]


@jobs.command("schema")
def job_schema() -> None:
    """Print the JSON Schema of the job file, with which editors complete and check it."""
    from gpuagent.wire import job_file

    typer.echo(job_file.job_schema())


@jobs.command("check")
def job_check(
    file: File,
    env: JobEnv = None,
    root: JobRoot = None,
    as_json: AsJson = False,
) -> None:
    """Check a job file and its inputs. Says by line and field what is wrong."""
    from gpuagent.core.text import counted
    from gpuagent.wire.job_file import load_job

    with errors_explained():
        workload, files = load_job(file, variables(env or []), root)
        if as_json:
            print_json({"workload": workload.model_dump(mode="json", exclude_none=True), "sha256": workload.sha256})
            return
        typer.echo(f"{file} is sound: {workload.name}, {workload.hours} h of {workload.resources.gpu}")
        typer.echo(f"sends {counted(len(files), 'file')} and buys the workload {workload.sha256}")


@jobs.command("import")
def job_import(
    file: Annotated[Path, typer.Argument(help="A SkyPilot task or a dstack task configuration.")],
) -> None:
    """Print the job file of a SkyPilot or dstack task. What does not map is named and refused."""
    from gpuagent.wire.job_import import import_job

    with errors_explained():
        try:
            body = file.read_bytes()
        except OSError as error:
            raise BadInput(f"{file} cannot be read: {error.strerror}") from None
        typer.echo(import_job(body, file.name), nl=False)
