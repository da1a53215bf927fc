"""A run shown as it moves: in place on a terminal, line by line elsewhere, as JSON lines for programs."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gpuagent.cli.common import console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gpuagent.render.narration import Narration
    from gpuagent.wiring.database import Database


@contextmanager
def following(db: "Database", run_id: str, as_json: bool) -> Iterator[Callable[[], None]]:
    """Show the run now, whenever the yielded function is called, and at the end."""
    from rich.live import Live

    from gpuagent.render.fitting import Tail
    from gpuagent.render.narration import Narration

    screen = console()
    if screen.is_terminal and not as_json:
        with Live(Tail(_view(db, run_id)), console=screen, auto_refresh=False, vertical_overflow="crop") as live:
            yield lambda: live.update(Tail(_view(db, run_id)), refresh=True)
            live.update(_view(db, run_id))  # what stays on the screen is whole
        return
    narration = Narration(db.reads.documents, run_id)

    def show() -> None:
        if as_json:
            _print_json(narration)
        else:
            for line in narration.lines():
                screen.print(line)

    show()
    yield show
    if not as_json:
        screen.print(_view(db, run_id))


def _view(db: "Database", run_id: str) -> "RenderableType":
    from gpuagent.render.run import read_status, run_view

    documents = db.reads.documents(run_id)
    return run_view(documents, read_status(db.store.load, documents, time.time()))


def _print_json(narration: "Narration") -> None:
    from gpuagent.render.json_value import json_value

    for observation in narration.observations():
        typer.echo(json.dumps(json_value(observation)))
