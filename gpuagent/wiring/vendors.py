"""The records of vendors: read from a file, written to the database."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gpuagent.wiring import system_clock
from gpuagent.wiring.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    from gpuagent.core.model import Vendor


def record_vendors(database: Database, vendors: Iterable["Vendor"]) -> None:
    """Write vendors to the database, or change their records."""
    for vendor in vendors:
        database.store.put_vendor(vendor, system_clock().now())


def add_vendor(database: Database, vendor: "Vendor") -> bool:
    """Record a new vendor, in one transaction. False where it is recorded already, with the same record.

    Raises as check_new().
    """
    from gpuagent.agent.enlist import check_new

    return database.store.add_vendor(vendor, lambda records: check_new(vendor, records), system_clock().now())


def vendor_from(entry: Mapping[str, Any]) -> "Vendor":
    """A vendor from its entry in a vendors file. Raises BadInput naming the field that is missing or wrong."""
    from gpuagent.adapters.vendors import file

    return file.vendor_from(entry)


def checked_vendor(vendor: "Vendor") -> "Vendor":
    """The vendor, if a vendors file could hold it. Raises BadInput naming the field that is wrong."""
    return vendor_from(vendor_entry(vendor))


def read_vendors(path: "Path") -> "tuple[Vendor, ...]":
    """The vendors in a vendors file. Raises BadInput with every fault, by line and field."""
    from gpuagent.adapters.vendors import file

    return file.read_vendors(path)


def vendor_entry(vendor: "Vendor") -> dict[str, Any]:
    """A vendor's entry in a vendors file, which vendor_from() reads back."""
    from gpuagent.adapters.vendors import file

    return file.vendor_entry(vendor)
