"""`gpuagent run timeline`: what a run decided, paid, did and was told, in order, and the record of each."""

from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, RunId, console, errors_explained, open_database, print_json


def run_timeline(
    run_id: RunId,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only decision, payment, job, problem or message; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries.")] = 100,
    after: Annotated[str, typer.Option(metavar="ENTRY", help="Only entries after this one: the next page.")] = "",
    entry: Annotated[str, typer.Option(metavar="ENTRY", help="One entry's whole record instead.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show every decision, payment, job and message of a run, oldest first, each with the id of its record."""
    from gpuagent.core.timeline import parse_entries
    from gpuagent.render.timeline import record_json, record_view, timeline_table

    with errors_explained(), open_database() as db:
        if entry:
            record = db.reads.timeline_record(run_id, entry)
            if as_json:
                print_json(record_json(record))
            else:
                for part in record_view(record):
                    console().print(part)
            return
        page = db.reads.timeline(run_id, after, parse_entries(kind or []), limit)
        if as_json:
            print_json(page.as_json())
        elif page.entries:
            console().print(timeline_table(page.entries))
            if page.next:
                console().print(f"[dim]next page: --after {page.next}[/dim]", soft_wrap=True)
        else:
            console().print("nothing has happened yet")


def add_run_timeline(runs: typer.Typer) -> None:
    runs.command("timeline")(run_timeline)
