"""Renderables that stay readable in a small terminal: tables that become records, and views that keep their end."""

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

UNBOUNDED = 10_000
"""A width that no table reaches, to measure its natural width by."""
HEAD_SHARE = 3
"""A view that is cut keeps its beginning in one of so many parts of the screen."""


class Fitting:
    """A table that is written as records, a line for each cell, where its columns do not fit the terminal.

    folds: cells may go on below; records are for where not even their words fit.
    """

    def __init__(self, table: Table, *, folds: bool = False) -> None:
        self.table, self.folds = table, folds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = Measurement.get(console, options.update(max_width=UNBOUNDED), self.table)
        if (width.minimum if self.folds else width.maximum) <= options.max_width:
            yield self.table
            return
        columns = self.table.columns
        for title, *values in zip(*(column.cells for column in columns), strict=True):
            yield Text(_text(console, title), "bold")
            record = Table.grid(padding=(0, 2))
            record.add_column(style="dim")
            record.add_column(overflow="fold")
            for column, value in zip(columns[1:], values, strict=True):
                if _text(console, value).strip():
                    record.add_row(f"  {_text(console, column.header)}", value)
            yield record
        if self.table.caption:
            yield self.table.caption


class Tail:
    """A view that shows its beginning and its newest lines where the terminal is lower than the view."""

    def __init__(self, view: RenderableType) -> None:
        self.view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.view, options.update(height=None), pad=False)
        height = max(3, console.size.height - 1)
        if len(lines) > height:
            head = height // HEAD_SHARE
            cut = [Segment("…")]
            lines = [*lines[:head], cut, *lines[len(lines) - (height - head - 1) :]]
        for line in lines:
            yield from line
            yield Segment.line()


def _text(console: Console, cell: RenderableType) -> str:
    return console.render_str(cell).plain if isinstance(cell, str) else str(cell)
