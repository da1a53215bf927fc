"""`gpuagent run files` and `run logs`: what came back of a run, and what its jobs print."""

import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, RunId, console, errors_explained, open_database, print_json
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.core.records import JobLogLine
    from gpuagent.core.run_files import RunFile


def run_files(
    run_id: RunId,
    get: Annotated[str, typer.Option(metavar="PATH", help="Save the file of this path.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; default: its name, here.")
    ] = None,
    everything: Annotated[
        Path | None,
        typer.Option(
            "--all",
            metavar="DIR",
            help="Save all files below this folder, by their paths; of several jobs each in a folder of its number.",
        ),
    ] = None,
    vendor: Annotated[str, typer.Option(help="Only files of this vendor.")] = "",
    job: Annotated[str, typer.Option(help="Only files of the job whose id begins so.")] = "",
    index: Annotated[int | None, typer.Option(help="Only files of the job with this number, of several.")] = None,
    kind: Annotated[str, typer.Option(help="Only output or checkpoint; --all saves outputs, unless it is given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the files that came back, or save them: what is saved is proven again while it is written."""
    from gpuagent import settings, wiring
    from gpuagent.core.run_files import chosen, chosen_of_each, matching
    from gpuagent.core.work import FileKind
    from gpuagent.render.files import files_table
    from gpuagent.render.saving import save, save_below

    with errors_explained(), open_database() as db:
        listed = matching(db.reads.files(run_id), vendor, job, kind, index)
        saved: dict[Path, RunFile] = {}
        if (get and everything) or (output and not get):
            raise BadInput("write --get PATH, with -o FILE or without, or --all DIR")
        if get or everything:
            with wiring.open_files(settings.read(), db) as store:
                if everything:
                    selection = chosen_of_each(matching(listed, kind=kind or FileKind.OUTPUT))
                    saved = save_below(everything, {file.place: file for file in selection}, store)
                else:
                    file = chosen(listed, get)
                    saved = {save(output or Path(file.path.rpartition("/")[2]), file, store): file}
        if as_json:
            places = {file: str(place) for place, file in saved.items()}
            print_json({"runId": run_id, "files": [{**file.as_json(), "savedAs": places.get(file)} for file in listed]})
        elif not (saved if everything else listed):
            filtered = vendor or job or kind or index is not None
            console().print("no file matches" if filtered else "no files have come back yet")
        elif saved:
            for place, file in saved.items():
                typer.echo(f"{place}: {file.bytes:,} bytes, SHA-256 {file.sha256}")
        else:
            console().print(files_table(listed))


def run_logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
    vendor: Annotated[str, typer.Option(help="Only lines of this vendor's jobs.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what the run's jobs printed, as far as their vendors sent it."""
    from gpuagent.core.pace import Pace
    from gpuagent.core.steps import is_over

    printed: set[str] = set()
    with errors_explained(), open_database() as db:
        after = ""
        while True:
            over = not follow or is_over(db.store.load(run_id))  # before the lines: none comes after that
            for line in db.reads.job_log(run_id, after):
                if line.id not in printed and vendor in ("", line.vendor_id):
                    typer.echo(_text(line, as_json))
                printed.add(line.id)
                after = max(after, line.id)
            if over:
                return
            time.sleep(Pace().poll_s)


def _text(line: "JobLogLine", as_json: bool) -> str:
    import json

    at = line.at.astimezone(UTC)
    if as_json:
        fields = {"at": at.isoformat(), "vendorId": line.vendor_id, "jobId": line.job_id, "text": line.text}
        return json.dumps(fields)
    printable = "".join(char if char.isprintable() else " " for char in line.text)
    return f"{at:%H:%M:%S}  {line.vendor_id}  {printable}"


def add_run_files(runs: typer.Typer) -> None:
    runs.command("files")(run_files)
    runs.command("logs")(run_logs)
