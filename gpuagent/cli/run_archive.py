"""`gpuagent run archive` and `restore`: observations of finished runs, between the database and the file store."""

from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, RunId, errors_explained, open_database, print_json


def run_archive(
    dry_run: Annotated[bool, typer.Option(help="Only say which runs' would be archived.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move observations of finished runs into the file store: what the policy keeps in the database no longer."""
    from gpuagent import settings, wiring
    from gpuagent.agent.archive import archive_runs
    from gpuagent.core.text import counted
    from gpuagent.core.units import show_size

    with errors_explained(), open_database() as db, wiring.open_files(settings.read(), db) as files:
        rules, now = db.store.policy(), db.not_after(wiring.system_clock().now())
        runs, size, observations = [], 0, 0
        for run in archive_runs(db.archives, files, rules, now, dry_run=dry_run):
            runs.append(run.run_id)
            if run.archive:
                size, observations = size + run.archive.bytes, observations + run.archive.observations
        if as_json:
            print_json({"dryRun": dry_run, "runs": runs, "observations": observations, "bytes": size})
        elif rules.keep_observations_s is None:
            typer.echo("the policy keeps observations in the database: `gpuagent policy set --keep-observations 90d`")
        elif dry_run:
            typer.echo(f"would archive the observations of {counted(len(runs), 'run')}")
        else:
            typer.echo(
                f"archived {counted(observations, 'observation')} of {counted(len(runs), 'run')}, "
                f"{show_size(size)} in the file store"
            )


def run_restore(run_id: RunId, as_json: AsJson = False) -> None:
    """Put a run's archived observations back into the database."""
    from gpuagent import settings, wiring
    from gpuagent.agent.archive import restore_run
    from gpuagent.core.text import counted

    with errors_explained(), open_database() as db, wiring.open_files(settings.read(), db) as files:
        count = restore_run(db.archives, files, run_id, wiring.system_clock().now())
        if as_json:
            print_json({"runId": run_id, "observations": count})
        else:
            typer.echo(f"{counted(count, 'observation')} of run {run_id} put back into the database")


def add_run_archive(runs: typer.Typer) -> None:
    runs.command("archive")(run_archive)
    runs.command("restore")(run_restore)
