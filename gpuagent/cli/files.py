"""`gpuagent files`: the file store of all runs."""

from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, errors_explained, open_database, print_json
from gpuagent.cli.groups import command_group

file_store = command_group("The store that keeps the files of runs.")


@file_store.command("sweep")
def files_sweep(
    dry_run: Annotated[bool, typer.Option(help="Only say what would be deleted.")] = False, as_json: AsJson = False
) -> None:
    """Delete unfinished uploads and files of no run, of a day ago and older, and what the policy keeps no longer."""
    from gpuagent import settings, wiring
    from gpuagent.agent.retention import sweep_files
    from gpuagent.render.files import sweep_text

    with errors_explained(), open_database() as db, wiring.open_files(settings.read(), db) as store:
        now = db.not_after(wiring.system_clock().now())
        sweep = sweep_files(store, db.holdings, db.store.policy(), now, dry_run=dry_run)
        if as_json:
            files = [{"runId": file.run_id, "sha256": file.sha256, "bytes": file.bytes} for file in sweep.files]
            sizes = {"uploadBytes": sweep.uploads, "strayBytes": sweep.strays, "fileBytes": sweep.freed}
            print_json({"dryRun": dry_run, **sizes, "files": files})
        else:
            typer.echo(sweep_text(sweep, dry_run=dry_run))
