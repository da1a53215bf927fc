"""Recorded vendors, and how a vendor's server conforms, as tables."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.core.model import Vendor
from gpuagent.core.money import show_usd
from gpuagent.doctor.probe import ConformanceResult


def vendors_table(vendors: Iterable[Vendor]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("vendor", "per hour", "reliability", "GPUs", "endpoint", "network", "paid to", "enabled", "trusted"):
        table.add_column(column, overflow="fold", min_width=12 if column == "vendor" else None)
    for vendor in vendors:
        table.add_row(
            escape(vendor.vendor_id),
            show_usd(vendor.base_price_per_hour),
            f"{vendor.reliability:.2f}",
            escape(", ".join(vendor.gpu_types)),
            escape(vendor.endpoint),
            vendor.network,
            vendor.pay_to,
            "yes" if vendor.enabled else "no",
            "yes" if vendor.trusted else "no",
        )
    return table


def findings_table(findings: Iterable[ConformanceResult]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "a vendor", "this one"):
        table.add_column(column)
    for finding in findings:
        mark = Text("ok", style="green") if finding.passed else Text("wrong", style="bold red")
        table.add_row(mark, escape(finding.check), escape(finding.detail))
    return table
