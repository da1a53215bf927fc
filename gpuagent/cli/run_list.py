"""`gpuagent run list`: the runs, filtered, sorted, page by page."""

from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, console, errors_explained, open_database, print_json


def run_list(
    status: Annotated[str, typer.Option(help="Only running, completed or failed ones.")] = "",
    phase: Annotated[str, typer.Option(help="Only those in this phase, such as APPROVAL.")] = "",
    user: Annotated[str, typer.Option(help="Only this user's.")] = "",
    tag: Annotated[str, typer.Option(help="Only those with this tag.")] = "",
    vendor: Annotated[str, typer.Option(help="Only those with a job at this vendor.")] = "",
    text: Annotated[str, typer.Option(help="Words of the goal, or the beginning of the run's id.")] = "",
    sort: Annotated[
        str, typer.Option(help="By started, updated, spent or budget, the greatest first; or such as spent:asc.")
    ] = "started",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    before: Annotated[
        str, typer.Option(metavar="PLACE", help="The next page: what stands below this one, or the last run's id.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show runs, the newest first."""
    from gpuagent.core.run_list import ALL_RUNS, RunFilter, parse_sort
    from gpuagent.render.json_value import json_value
    from gpuagent.render.run import runs_table

    with errors_explained(), open_database() as db:
        where = RunFilter(status.lower(), phase.upper(), user, tag, vendor, text)
        page = db.reads.run_page(where, parse_sort(sort), limit, before)
        if as_json:
            print_json({"runs": json_value(page.runs), "next": page.next or None})
        elif page.runs:
            console().print(runs_table(page.runs))
            if page.next:
                console().print(f"[dim]next page: --before {page.next}[/dim]", soft_wrap=True)
        elif before or where != ALL_RUNS:
            console().print("no run matches")
        else:
            console().print("no runs yet: `gpuagent run start` makes one")


def add_run_list(runs: typer.Typer) -> None:
    runs.command("list")(run_list)
