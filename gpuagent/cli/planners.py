"""`gpuagent planners`: play planners against each other, replay recorded decisions, make scenarios, read A/B runs."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import EXIT_OTHER, EXIT_REFUSED, AsJson, RunId, console, database, errors_explained, print_json
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.core.ports import Planner
    from gpuagent.planbench.answers import Asker
    from gpuagent.planbench.compare import Estimate

planners = typer.Typer(no_args_is_help=True, help="Compare planners, replay their decisions.")

Cache = Annotated[Path | None, typer.Option("--cache", help="Where paid answers are kept; default: your data folder.")]
Limit = Annotated[str, typer.Option("--limit", help="USD that asking planners may cost, such as 0.50.")]
Guarded = Annotated[
    bool, typer.Option("--guard", help="As in production: a refused answer is asked for once more, then the stub.")
]


@planners.command("compare")
def planners_compare(
    names: Annotated[str, typer.Option("--planners", help="Names, with commas; or all, which is all that are free.")],
    scenarios: Annotated[Path | None, typer.Option(help="A folder of scenario files; default: our own.")] = None,
    mode: Annotated[str, typer.Option(help="exact, posterior or sampled.")] = "exact",
    by: Annotated[str, typer.Option(help="Also a table by family or by scenario.")] = "",
    against: Annotated[str, typer.Option(help="The planner that the others are paired with; default: the first.")] = "",
    limit: Limit = "",
    cache: Cache = None,
    guard: Guarded = False,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Write every play to this file.")] = None,
) -> None:
    """Play planners over the same scenarios; paired statistics. Exits with 3 when the limit ended it early."""
    from gpuagent.planbench import report
    from gpuagent.planbench.compare import compare, estimate
    from gpuagent.planbench.scenarios import load, own_folder

    with errors_explained():
        report.check(by, against, names.split(","))
        found = load(scenarios or own_folder())
        askers = askers_for(_named(names), partial(estimate, found), limit, cache, guard)
        with ExitStack() as stack:
            comparison = compare(found, askers, mode, _progress(stack, len(found)))
        if csv:
            csv.write_text(report.as_csv(comparison), "utf-8")
        if as_json:
            print_json(report.as_json(comparison, by, against))
        else:
            for shown in report.tables(comparison, by, against):
                console().print(shown)
        if comparison.stopped:
            raise typer.Exit(EXIT_REFUSED)


@planners.command("live")
def planners_live(
    scenario: Annotated[Path, typer.Argument(help="A scenario file.")],
    planner: Annotated[str, typer.Option(help="Who chooses: a planner that a run may name.")] = "stub",
    replicate: Annotated[int, typer.Option(min=0, help="Which of the drawn outcomes.")] = 0,
    variant: Annotated[int, typer.Option(min=0, help="Which variant of the file.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Play a scenario end to end, with real payments on a practice market; exits with 1 if memory decides otherwise."""
    import os

    from gpuagent.planbench.end_to_end import in_memory, steps_json, steps_table
    from gpuagent.planbench.scenarios import load
    from gpuagent.practice.market import practice

    with errors_explained():
        (found,) = load(scenario) if scenario.is_file() else ((),)
        if variant >= len(found) or replicate >= found[variant].replicates:
            raise BadInput(f"{scenario} has no variant {variant} with a replicate {replicate}")
        market = found[variant]
        with practice(max(3, len(market.sellers)), **os.environ) as live:
            named = live.agent.ports.planners.get(planner)
            if named is None:
                raise BadInput(f"no planner {planner!r}; there are: {', '.join(live.agent.ports.planners)}")
            run, bought = live.stage(market).play(planner, replicate)
        _, expected = in_memory(market, named, replicate)
        if as_json:
            print_json(steps_json(run, bought, expected))
        else:
            console().print(steps_table(bought, expected))
            console().print(f"run {run.status}: {run.reason}")
        if [step.choice for step in bought] != [step.choice for step in expected]:
            raise typer.Exit(EXIT_OTHER)


@planners.command("replay")
def planners_replay(
    run_id: RunId,
    planner: Annotated[str, typer.Option(help="Who is asked what it would have done.")] = "stub",
    limit: Limit = "",
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Ask another planner about every recorded decision of a run. Nothing is bought."""
    from gpuagent.planbench.replay import as_json as replay_json
    from gpuagent.planbench.replay import estimate, replay, replay_table, summary

    with errors_explained():
        named = _named(planner)
        with database() as db:
            db.store.load(run_id)
            observations = db.reads.documents(run_id)["observations"]
        (asker,) = askers_for(named, partial(estimate, observations), limit, cache, guarded=False)
        found = replay(observations, asker)
        if as_json:
            print_json(replay_json(found))
        else:
            console().print(replay_table(found, planner))
            console().print(", ".join(f"{count} {word}" for word, count in summary(found).items()))


@planners.command("generate")
def planners_generate(
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 7,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Files; the nine families take turns.")] = 18,
) -> None:
    """Make scenario files of the synthetic families, with truth and bounds."""
    from gpuagent.planbench.generator.generate import write

    with errors_explained():
        try:
            written = write(seed, count, out)
        except OSError as error:
            raise BadInput(f"{out} cannot be written: {error.strerror}") from error
        typer.echo(f"{len(written)} scenario files in {out}")


@planners.command("ab")
def planners_ab(
    tag: Annotated[str, typer.Option(help="Only runs with this tag.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Look at so many runs, newest first.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Runs that were started with several planners: completion and spend by the planner each was assigned."""
    from gpuagent.planbench.ab import arms, arms_table
    from gpuagent.planbench.ab import as_json as arms_json
    from gpuagent.render.as_json import json_value

    with errors_explained(), database() as db:
        found = arms(json_value(db.reads.runs(limit)), tag)
        if as_json:
            print_json(arms_json(found))
        else:
            console().print(arms_table(found) if found else "no run was started with several planners")


def _named(names: str) -> "list[Planner]":
    """Raises BadInput, and ConfigError for a planner that is not set up."""
    from gpuagent import settings, wiring
    from gpuagent.planbench.baselines import RULES

    wanted = ["stub", *RULES] if names == "all" else [name.strip() for name in names.split(",")]
    if len(set(wanted)) < len(wanted):
        raise BadInput(f"{names}: name each planner once")
    read = settings.read()
    try:
        return [RULES.get(name) or wiring.named_planner(read, name) for name in wanted]
    except BadInput as error:
        raise BadInput(f"{error}; to compare with: {', '.join(RULES)}") from error


def askers_for(
    named: "Sequence[Planner]",
    estimated: "Callable[[Asker], Estimate | None]",
    limit: str,
    cache: Path | None,
    guarded: bool,
) -> "list[Asker]":
    """Says beforehand on stderr what asking each of them may cost.

    Raises BadInput where asking may cost money, and nobody said how much it may or can say how much it does."""
    from gpuagent import settings, wiring
    from gpuagent.core.money import parse_usd, show_usd
    from gpuagent.planbench.answers import Asker, Priced, Purse, memory_of
    from gpuagent.planbench.baselines import RULES

    for planner in named:
        if planner.name not in (*RULES, "stub") and not isinstance(planner, Priced):
            raise BadInput(f"{planner.name} cannot say beforehand what asking it costs, so no limit can be kept")
    purse = Purse(parse_usd(limit) if limit else None)
    fallback = wiring.named_planner(settings.read(), "stub") if guarded else None
    paid = any(isinstance(planner, Priced) for planner in named)
    folder = (cache or _default_cache()) if paid else None
    askers = [Asker(planner, memory_of(planner, folder), purse, fallback) for planner in named]
    for told in filter(None, map(estimated, askers)):
        words = f"{told.planner}: at most {told.calls} questions, {show_usd(told.amount)} at the most"
        typer.echo(words, err=True)
    if paid and purse.limit is None:
        raise BadInput("asking costs money: say how much it may, by --limit USD")
    return askers


def _default_cache() -> Path:
    from gpuagent import wiring

    return wiring.data_folder() / "planner-answers"


def _progress(stack: ExitStack, total: int) -> Any:
    """A bar per planner, on stderr."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def tell(planner: str, played: int, _: int) -> None:
        if planner not in tasks:
            tasks[planner] = bars.add_task(planner, total=total)
        bars.update(tasks[planner], completed=played)

    return tell
