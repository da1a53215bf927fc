"""Follow a run as it moves: in place on a terminal, line by line elsewhere, as JSON lines for programs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gpuagent.cli.common import console

if TYPE_CHECKING:
    from gpuagent.wiring import Database


@contextmanager
def following(db: "Database", run_id: str, as_json: bool) -> Iterator[Callable[[], None]]:
    """Shows the run now, whenever the yielded function is called, and at the end."""
    from rich.live import Live

    from gpuagent.render.run import run_view

    screen = console()
    if screen.is_terminal and not as_json:
        with Live(run_view(db.reads.documents(run_id)), console=screen, auto_refresh=False) as view:
            yield lambda: view.update(run_view(db.reads.documents(run_id)), refresh=True)
        return
    tell = _teller(db, run_id, as_json)
    tell()
    yield tell
    if not as_json:
        screen.print(run_view(db.reads.documents(run_id)))


def _teller(db: "Database", run_id: str, as_json: bool) -> Callable[[], None]:
    """Tells each observation once."""
    from gpuagent.render.run import narration, plain

    told = 0

    def tell() -> None:
        nonlocal told
        seen = db.reads.documents(run_id)["observations"]
        if as_json:
            for one in seen[told:]:
                typer.echo(json.dumps(plain(one)))
        else:
            console().print(*narration(seen[told:]), sep="\n", end="\n" if len(seen) > told else "")
        told = len(seen)

    return tell
