"""Recorded vendors, and how a vendor's server conforms, as tables."""

from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.core.model import Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.policy import Halt
from gpuagent.core.units import show_minute
from gpuagent.doctor.probe import ConformanceResult
from gpuagent.render.fitting import Fitting

COLUMNS = "vendor", "per hour", "reliability", "GPUs", "protocol", "endpoint", "network", "paid to", "buys", "trusted"
NUMBERS = "per hour", "reliability"


def vendors_table(vendors: Iterable[Vendor], halts: Mapping[str, Halt]) -> RenderableType:
    """halts: of vendors, by their ids."""
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(
            column,
            justify="right" if column in NUMBERS else "left",
            overflow="fold",
            min_width=12 if column == "vendor" else None,
        )
    for vendor in vendors:
        table.add_row(
            escape(vendor.vendor_id),
            show_usd(vendor.base_price_per_hour),
            f"{vendor.reliability:.2f}",
            escape(", ".join(vendor.gpu_types)),
            escape(vendor.protocol),
            escape(vendor.endpoint),
            vendor.network,
            vendor.pay_to,
            Text("halted", style="bold red") if vendor.vendor_id in halts else "yes" if vendor.enabled else "no",
            "yes" if vendor.trusted else "no",
        )
    return Fitting(table)


def halt_lines(halts: Iterable[Halt]) -> list[Text]:
    """Who halted which vendor, when and why, and what ends it."""
    return [
        Text.assemble(
            (f"vendor {halt.name} is halted", "bold red"),
            f" by {halt.by}{f' at {show_minute(halt.at)}' if halt.at else ''}: {halt.why}. "
            f"`{halt.resume_command}` lets it be asked again",
        )
        for halt in halts
    ]


def findings_table(findings: Iterable[ConformanceResult]) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in ("", "a vendor", "this one"):
        table.add_column(column)
    for finding in findings:
        mark = Text("ok", style="green") if finding.passed else Text("wrong", style="bold red")
        table.add_row(mark, escape(finding.check), escape(finding.detail))
    return Fitting(table, folds=True)
