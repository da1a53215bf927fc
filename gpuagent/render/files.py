"""Files of runs as tables for a terminal."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from gpuagent.agent.retention import FileSweep
from gpuagent.core.run_files import RunFile
from gpuagent.core.text import counted
from gpuagent.core.units import show_minute
from gpuagent.render.fitting import Fitting


def files_table(files: Iterable[RunFile]) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("path", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    for column in ("sha256", "kind", "vendor", "collected"):
        table.add_column(column, overflow="fold")
    for file in files:
        collected = show_minute(file.collected_at)
        if file.deleted_at is not None:
            collected += f", deleted by retention {datetime.fromtimestamp(file.deleted_at, UTC):%Y-%m-%d}"
        table.add_row(escape(file.place), f"{file.bytes:,}", file.sha256, file.kind, escape(file.vendor_id), collected)
    return Fitting(table)


def sweep_text(sweep: FileSweep, *, dry_run: bool) -> str:
    runs = len({file.run_id for file in sweep.files})
    files = f"{counted(len(sweep.files), 'file')} of {counted(runs, 'finished run')} ({sweep.freed:,} bytes)"
    rest = f"{sweep.strays:,} bytes of files of no run and {sweep.uploads:,} bytes of unfinished uploads"
    return f"{'would delete' if dry_run else 'deleted'} {files}, {rest}"
