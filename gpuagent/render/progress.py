"""A progress bar on stderr for what takes longer than a second: on a terminal only, and gone when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PATIENCE_S = 1.0


class RowCounter:
    """Counts rows as they pass, and shows their number once it has taken longer than patience_s.

    console: None for stderr's. rich is loaded then alone.
    """

    def __init__(self, title: str, console: "Console | None" = None, patience_s: float = PATIENCE_S) -> None:
        self._title, self._console, self._patience_s = title, console, patience_s
        self._progress: Progress | None = None
        self._rows = 0
        self._since = time.monotonic()

    def add(self, rows: int) -> None:
        self._rows += rows
        if self._progress:
            self._progress.advance(self._progress.task_ids[0], rows)
        elif time.monotonic() - self._since >= self._patience_s:
            self._progress = _progress(self._title, self._rows, self._since, self._console)

    def close(self) -> None:
        if self._progress and self._progress.live.is_started:
            self._progress.stop()


def _progress(title: str, rows: int, since: float, console: "Console | None") -> "Progress":
    """It has begun, where the console is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = console or Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,} rows"))
    progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    progress.add_task(title, total=None, completed=rows)
    progress.tasks[0].start_time = since
    if console.is_terminal:
        progress.start()
    return progress


@contextmanager
def counted_rows(title: str, console: "Console | None" = None) -> Iterator[RowCounter]:
    counter = RowCounter(title, console)
    try:
        yield counter
    finally:
        counter.close()
