"""`gpuagent demo`: the main job on embedded parts."""

from typing import Annotated

import typer

from gpuagent.cli.common import EXIT_RUN_FAILED, AsJson, console, errors_explained, print_json


def demo(
    budget: Annotated[str, typer.Option(help="The budget in USD.")] = "5",
    fail_vendor: Annotated[str, typer.Option(help="The vendor whose jobs fail, or none.")] = "gpu_vendor_1",
    fail_rate: Annotated[str, typer.Option(help="Chance from 0 to 1 that any job fails.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Watch an agent buy a GPU job on a local chain, survive a failing vendor and balance its books."""
    from gpuagent.practice.demo import play

    with errors_explained():
        result = play(budget, fail_vendor, fail_rate, say=None if as_json else console().print)
        if as_json:
            print_json(result.as_json())
        if not result.completed:
            raise typer.Exit(EXIT_RUN_FAILED)
