"""`gpuagent schedule`: a notebook executed for a timer, with an exit code that says how it went."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from gpuagent.cli.common import AsJson
from gpuagent.cli.groups import command_group
from gpuagent.cli.schedule_exit import error_code, finish, finish_early
from gpuagent.errors import BadInput, ConfigError, GpuAgentError

if TYPE_CHECKING:
    from gpuagent.schedule.typed_text import Value

PARAMETER_FLAGS = ("-p", "--parameter")
RUN_ID = "run_id"
KEEP, KEEP_DAYS = "SCHEDULE_KEEP", "SCHEDULE_KEEP_DAYS"
"""How many executed copies are kept, and for how long, where a start does not say."""


schedules = command_group("Execute notebooks unattended, for systemd, cron and clusters.")


class PairedOptions(TyperCommand):
    """A command that reads `-p NAME VALUE`, as papermill does: typer has no repeated option of two values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_pairs(args))


def join_pairs(args: Sequence[str]) -> list[str]:
    """Each -p NAME VALUE as one -p NAME=VALUE. Raises BadParameter where the value is missing."""
    joined, rest = [], iter(args)
    for arg in rest:
        joined.append(arg)
        if arg in PARAMETER_FLAGS:
            name = next(rest, "")
            value = next(rest, None) if "=" not in name else ""
            if value is None or not name:
                raise typer.BadParameter(f"{arg} takes a name and a value: -p budget 5")
            joined.append(name if "=" in name else f"{name}={value}")
    return joined


@schedules.command("run", cls=PairedOptions)
def schedule_run(
    notebook: Annotated[Path, typer.Argument(help="Such as notebooks/40_scheduled_run.ipynb.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(*PARAMETER_FLAGS, metavar="NAME VALUE", help="A parameter of the notebook; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for executed notebooks; default: in your data folder.")
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", envvar=KEEP, help="Keep the N newest executed copies of NOTEBOOK there; 0: all."
        ),
    ] = 0,
    keep_days: Annotated[
        int,
        typer.Option(
            min=0, max=36_500, metavar="N", envvar=KEEP_DAYS, help="Keep executed copies for N days; 0: for ever."
        ),
    ] = 0,
    per: Annotated[
        str,
        typer.Option(metavar="PERIOD", help="hour, day, week or month: a run for each, named run_id-PERIOD."),
    ] = "",
    timezone: Annotated[
        str,
        typer.Option(metavar="ZONE", help="Whose calendar --per goes by, such as Europe/Berlin; hours stay UTC's."),
    ] = "UTC",
    practice: Annotated[
        bool, typer.Option(help="Where no chain and no wallet are configured: buy on the embedded practice stack.")
    ] = False,
    locks: Annotated[Path | None, typer.Option(help="The folder for locks; default: in your data folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Execute NOTEBOOK once. The exit code says how it went.

    Start it again with the same parameters as often as you like, with a run_id of your own: a run that was begun is
    continued, and nothing is paid for twice.

    \b
    Exit codes:
      0    done: the run completed, now or before; a notebook without a run was executed
      1    the run failed, now or before: another start changes nothing
      2    bad input: the notebook, a parameter, the environment
      3    not over yet: max_ticks are made; start it again
      4    locked: this run is being driven by another process on this machine
      5    trouble: a cell failed for another reason (chain, database, wallet, notebook); look, start it again
      143  stopped by SIGTERM, 130 by SIGINT: the cell was interrupted; start it again
    """
    from gpuagent.schedule.outputs import new_output
    from gpuagent.schedule.papermill import execute
    from gpuagent.schedule.parameters import parameter_types, parse_parameters
    from gpuagent.wiring import system_clock

    try:
        types = parameter_types(notebook)
        values = parse_parameters(types, _pairs(parameter or ()))
        _check_configured(types, practice)
        with _lock(notebook, values, locks or _data_folder() / "locks"):
            values, over = _whether_over(types, values, per, timezone)
            if over:
                finish_early(str(values[RUN_ID]), over, as_json)
            folder = out or _data_folder() / "notebooks"
            name = "-".join(filter(None, (notebook.stem, str(values.get(RUN_ID) or ""))))
            output = new_output(folder, name, system_clock())
            typer.echo(f"{notebook} -> {output}", err=True)
            execution = execute(notebook, output, values)
            _remove_old(folder, notebook, keep, keep_days)
        finish(execution, output, as_json)
    except GpuAgentError as error:
        typer.echo(f"gpuagent: {error}", err=True)
        raise typer.Exit(error_code(type(error))) from error


@schedules.command("list")
def schedule_list(
    out: Annotated[
        list[Path] | None, typer.Option(help="A folder of executed copies to look into too; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is set up on this machine: timers of systemd, lines of crontabs, executed copies and how they ended.

    systemd says when a timer starts next; cron does not say. Only what you may read is shown: root sees every user's.
    """
    from gpuagent.cli.common import print_json
    from gpuagent.schedule.copies import copies_in
    from gpuagent.schedule.listing import listing_json, timers
    from gpuagent.schedule.listing_text import listing_text

    active = timers()
    folders = {_data_folder() / "notebooks", *(out or ()), *(timer.folder for timer in active if timer.folder)}
    copies = [group for folder in sorted(folders) for group in copies_in(folder)]
    if as_json:
        print_json(listing_json(active, copies))
        return
    for line in listing_text(active, copies):
        typer.echo(line)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


def _check_configured(types: Mapping[str, str], practice: bool) -> None:
    """Raises ConfigError where a notebook that buys would buy on the practice stack, which no user would notice."""
    from gpuagent.settings import is_configured

    if RUN_ID in types and not practice and not is_configured(os.environ):
        raise ConfigError("set CHAIN_RPC_URL and the wallet's key: none is set; or add --practice, to buy nothing real")


def _lock(notebook: Path, values: "Mapping[str, Value]", folder: Path) -> AbstractContextManager[None]:
    """The lock of the run, by id or by name; of the notebook where no run is named. Raises BadInput."""
    from gpuagent.schedule.lock import locked
    from gpuagent.schedule.run_name import run_id_of

    if run := str(values.get(RUN_ID) or ""):
        return locked(folder, f"run-{run_id_of(run)}", f"run {run}")
    return locked(folder, f"notebook-{notebook.stem}", str(notebook))


def _whether_over(
    types: Mapping[str, str], values: "Mapping[str, Value]", per: str, timezone: str
) -> "tuple[dict[str, Value], Mapping[str, Any] | None]":
    """The parameters with the name of the run, for the present period where there is one; and its document where it is
    over. Costs one read where a run is named. Raises BadInput, ConfigError, StoreError."""
    from gpuagent import settings, wiring
    from gpuagent.core.zones import UTC_NAME, zone_of
    from gpuagent.schedule.run_name import RUN_ID as AN_ID
    from gpuagent.schedule.run_name import ended_run, run_id_of, run_name
    from gpuagent.session import resolved_environment
    from gpuagent.wiring.database import scheduled_runs

    text = values.get(RUN_ID)
    named = isinstance(text, str) and text != "" and RUN_ID in types
    zone = zone_of(timezone or UTC_NAME)
    if per and not named:
        raise BadInput("--per makes names of a run_id: give one, such as -p run_id nightly, to a notebook that has it")
    if not named or (not per and AN_ID.fullmatch(str(text))):  # an id is continued whatever else is given
        return dict(values), None
    series, now = str(text), wiring.system_clock().now()
    name = run_name(series, per, now, (), zone) if per else series
    with resolved_environment(os.environ) as environment:
        runs = scheduled_runs(settings.read(environment), series if per else "", run_id_of(name))
    name = run_name(series, per, now, runs, zone) if per else series
    return {**values, RUN_ID: name}, ended_run(name, runs, values)


def _remove_old(folder: Path, notebook: Path, keep: int, days: int) -> None:
    """Remove old executed copies. One that stays where it is changes nothing of how the run went, and is said."""
    from gpuagent.schedule.outputs import remove_old
    from gpuagent.wiring import system_clock

    if not keep and not days:
        return
    try:
        removed = remove_old(folder, notebook, system_clock(), keep, days)
    except BadInput as error:
        typer.echo(f"gpuagent: {error}", err=True)
        return
    if removed:
        typer.echo(f"{len(removed)} older copies removed from {folder}", err=True)


def _data_folder() -> Path:
    from gpuagent.wiring.embedded import data_folder

    return data_folder()
