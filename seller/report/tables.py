"""The reports as tables for a terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from seller.report.check import Finding
from seller.report.overview import Overview
from seller.report.sales import Sale

GIGABYTE = 10**9


def _payments(count: int) -> str:
    return f"{count} payment{'' if count == 1 else 's'}"


def overview_table(name: str, overview: Overview, *, draining: bool) -> str:
    table = Table(title=f"{name}{' (draining)' if draining else ''}", show_header=False, title_justify="left")
    table.add_row("jobs", ", ".join(f"{count} {state}" for state, count in overview.jobs.items()))
    for gpu in overview.gpus:
        table.add_row(gpu.gpu, f"{gpu.running} of {gpu.count} busy, {gpu.queued} queued, {gpu.price_per_hour} USD/h")
    table.add_row("sold", f"{overview.sold_usd:.6f} USD in {_payments(overview.sales)}")
    table.add_row("settling", f"{_payments(overview.settling)} that may or may not be on chain")
    used, free = overview.folder_bytes / GIGABYTE, overview.disk_free_bytes / GIGABYTE
    table.add_row("disk", f"{used:.2f} GB used, {free:.1f} GB free")
    return _text(table)


def sales_table(rows: Iterable[Sale]) -> str:
    table = Table("at", "job", "gpu", "hours", "USD", "payer", "state", "exit")
    for row in rows:
        code = "" if row.exit_code is None else str(row.exit_code)
        table.add_row(row.at, row.job_id, row.gpu, row.hours, f"{row.usd:.6f}", row.payer, row.state, code)
    return _text(table)


def findings_table(findings: Iterable[Finding]) -> str:
    table = Table("check", "", "")
    for finding in findings:
        table.add_row(finding.name, "ok" if finding.passed else "WRONG", finding.detail)
    return _text(table)


def _text(table: Table) -> str:
    console = Console(width=120, markup=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
