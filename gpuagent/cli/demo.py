"""`gpuagent demo`: the main job on embedded parts."""

from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import EXIT_RUN_FAILED, AsJson, console, errors_explained, print_json


def demo(
    budget: Annotated[str, typer.Option(help="The budget in USD.")] = "5",
    fail_vendor: Annotated[
        str, typer.Option(help="The vendor that loses the machine of each job, or none.")
    ] = "gpu_vendor_1",
    fail_rate: Annotated[str, typer.Option(help="Chance from 0 to 1 that any job loses its machine.")] = "0",
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the files that come back in this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch a model being trained on bought GPU hours, lost with its machine, and brought back from elsewhere."""
    from gpuagent.practice.demo import play

    with errors_explained():
        result = play(budget, fail_vendor, fail_rate, None if as_json else console().print, save)
        if as_json:
            print_json(result.as_json())
        if not result.completed:
            raise typer.Exit(EXIT_RUN_FAILED)
