"""A progress bar on stderr for what takes longer than a second: on a terminal only, and gone when it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PATIENCE_S = 1.0


class RowCounter:
    """Counts rows as they pass, and shows their number once it has taken longer than patience_s."""

    def __init__(self, title: str, console: Console, patience_s: float = PATIENCE_S) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,} rows"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task(title, total=None)
        self._shows, self._patience_s = console.is_terminal, patience_s
        self._since = time.monotonic()

    def add(self, rows: int) -> None:
        self._progress.advance(self._task, rows)
        if self._shows and time.monotonic() - self._since >= self._patience_s:
            self._progress.start()  # does nothing where it has begun

    def close(self) -> None:
        if self._progress.live.is_started:
            self._progress.stop()


@contextmanager
def counted_rows(title: str, console: Console | None = None) -> Iterator[RowCounter]:
    counter = RowCounter(title, console or Console(stderr=True))
    try:
        yield counter
    finally:
        counter.close()
