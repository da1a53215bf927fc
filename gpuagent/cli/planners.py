"""`gpuagent planners`: compare planners, replay recorded decisions, generate scenarios, measure A/B runs."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import (
    EXIT_OTHER,
    EXIT_REFUSED,
    AsJson,
    RunId,
    console,
    errors_explained,
    open_database,
    print_json,
)
from gpuagent.cli.groups import command_group
from gpuagent.cli.planner_clients import clients_for, planners_named, progress_bars
from gpuagent.errors import BadInput

planners = command_group("Compare planners, replay their decisions.")

Cache = Annotated[Path | None, typer.Option("--cache", help="Where paid answers are kept; default: your data folder.")]
Limit = Annotated[str, typer.Option("--limit", help="USD that asking planners may cost, such as 0.50.")]
Guarded = Annotated[
    bool, typer.Option("--guard", help="As in production: a refused answer is asked for once more, then rules decide.")
]


@planners.command("compare")
def planners_compare(
    names: Annotated[
        str, typer.Option("--planners", help="Names, with commas (stub: rules); or all, for all that are free.")
    ],
    scenarios: Annotated[
        Path | None, typer.Option(help="A folder of scenario files; default: the bundled ones.")
    ] = None,
    mode: Annotated[str, typer.Option(help="exact, posterior or sampled.")] = "exact",
    by: Annotated[str, typer.Option(help="Also a table by family or by scenario.")] = "",
    against: Annotated[str, typer.Option(help="The planner that the others are paired with; default: the first.")] = "",
    limit: Limit = "",
    cache: Cache = None,
    guard: Guarded = False,
    scheduler: Annotated[
        str, typer.Option(help="A Dask scheduler whose workers play, such as tcp://10.0.0.5:8786; free planners only.")
    ] = "",
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Write every play to this file.")] = None,
) -> None:
    """Play planners over the same scenarios; paired statistics. Exits with 3 when the limit ended it early."""
    from gpuagent.planbench import report
    from gpuagent.planbench.compare import compare, estimate
    from gpuagent.planbench.scenarios import bundled_folder, load
    from gpuagent.render.drafts import output

    with errors_explained():
        report.check_options(by, against, names.split(","))
        scenario_files = load(scenarios or bundled_folder())
        clients = clients_for(planners_named(names), partial(estimate, scenario_files), limit, cache, guard)
        with ExitStack() as stack:
            executor = None
            if scheduler:
                from gpuagent.fleet.cluster import ClusterExecutor

                executor = stack.enter_context(ClusterExecutor(scheduler))
            bars = progress_bars(stack, len(scenario_files))
            comparison = compare(scenario_files, clients, mode, bars, executor)
        if csv:
            with output(csv) as file:
                file.write(report.as_csv(comparison).encode())
        if as_json:
            print_json(report.as_json(comparison, by, against))
        else:
            for part in report.tables(comparison, by, against):
                console().print(part)
        if comparison.stopped:
            raise typer.Exit(EXIT_REFUSED)


@planners.command("live")
def planners_live(
    scenario: Annotated[Path, typer.Argument(help="A scenario file.")],
    planner: Annotated[str, typer.Option(help="The planner that chooses, as a run names it.")] = "stub",
    replicate: Annotated[int, typer.Option(min=0, help="Which of the drawn outcomes.")] = 0,
    variant: Annotated[int, typer.Option(min=0, help="Which variant of the file.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Play a scenario end to end, with real payments on a practice market; exits with 1 if memory decides otherwise."""
    import os

    from gpuagent.planbench.scenarios import load
    from gpuagent.planbench.steps import play_in_memory, same_choices, steps_json, steps_table
    from gpuagent.practice.market import practice_market

    with errors_explained():
        (variants,) = load(scenario) if scenario.is_file() else ((),)
        if variant >= len(variants) or replicate >= variants[variant].replicates:
            raise BadInput(f"{scenario} has no variant {variant} with a replicate {replicate}")
        market = variants[variant]
        with practice_market(max(3, len(market.sellers)), **os.environ) as live:
            run_planner = live.agent.ports.planners.get(planner)
            if run_planner is None:
                raise BadInput(f"no planner {planner!r}; there are: {', '.join(live.agent.ports.planners)}")
            run, over_http = live.stage(market).play(planner, replicate)
        _, in_memory = play_in_memory(market, run_planner, replicate)
        if as_json:
            print_json(steps_json(run, over_http, in_memory))
        else:
            console().print(steps_table(over_http, in_memory))
            console().print(f"run {run.status}: {run.reason}")
        if not same_choices(over_http, in_memory):
            raise typer.Exit(EXIT_OTHER)


@planners.command("replay")
def planners_replay(
    run_id: RunId,
    planner: Annotated[str, typer.Option(help="The planner to ask what it would have done.")] = "stub",
    limit: Limit = "",
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Ask another planner about every recorded decision of a run. Nothing is bought."""
    from gpuagent.planbench.replay import estimate, replay, replay_json, replay_table, summary
    from gpuagent.render.fitting import Fitting

    with errors_explained():
        planners = planners_named(planner)
        with open_database() as db:
            db.store.load(run_id)
            observations = db.reads.documents(run_id)["observations"]
        (client,) = clients_for(planners, partial(estimate, observations), limit, cache, guarded=False)
        decisions = replay(observations, client)
        if as_json:
            print_json(replay_json(decisions))
        else:
            console().print(Fitting(replay_table(decisions, planner)))
            console().print(", ".join(f"{count} {verdict}" for verdict, count in summary(decisions).items()))


@planners.command("generate")
def planners_generate(
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 7,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Files; the eleven families take turns.")] = 22,
    family: Annotated[str, typer.Option(help="Only of this family, such as sweep.")] = "",
) -> None:
    """Generate scenario files of the synthetic families, with truth and bounds."""
    from gpuagent.planbench.generator.generate import scenario_files
    from gpuagent.render.drafts import output

    with errors_explained():
        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, content in scenario_files(seed, count, family):
                with output(out / name) as file:
                    file.write(content)
        except OSError as error:
            raise BadInput(f"{out} cannot be written: {error.strerror}") from error
        typer.echo(f"{count} scenario files in {out}")


@planners.command("ab")
def planners_ab(
    tag: Annotated[str, typer.Option(help="Only runs with this tag.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Look at so many runs, newest first.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Completion and spend of runs that were started with several planners, by the planner each was assigned."""
    from gpuagent.planbench.ab import arms_json, arms_table, measure_arms
    from gpuagent.render.json_value import json_value

    with errors_explained(), open_database() as db:
        arms = measure_arms(json_value(db.reads.runs(limit)), tag)
        if as_json:
            print_json(arms_json(arms))
        else:
            console().print(arms_table(arms) if arms else "no run was started with several planners")
