"""Vendors of which one gets a moment for one kind of call, and all other calls have time, on a busy machine too."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Vendor
from gpuagent.core.ports.vendors import VendorApi
from tests.support.world import World

AMPLE_S = 60.0


@dataclass
class HastyVendors:
    """The vendors, where this one's `call` is cut off as `hasty` has it."""

    patient: VendorApi
    hasty: VendorApi
    vendor_id: str
    call: str

    def __getattr__(self, name: str) -> Any:
        def asked(vendor: Vendor, *arguments: Any) -> Any:
            is_hasty = (vendor.vendor_id, name) == (self.vendor_id, self.call)
            return getattr(self.hasty if is_hasty else self.patient, name)(vendor, *arguments)

        return asked


@contextmanager
def in_haste(world: World, vendor_id: str, call: str, seconds: float) -> Iterator[World]:
    """The world, whose agent waits so long at most for this vendor's answer to this call."""
    secret = world.environment.get
    with (
        closing(HttpVendor(secret, AMPLE_S, AMPLE_S, AMPLE_S)) as patient,
        closing(HttpVendor(secret, seconds, seconds, seconds)) as hasty,
    ):
        vendors = HastyVendors(patient, hasty, vendor_id, call)
        ports = replace(world.ports, vendor_api=vendors)  # type: ignore[arg-type]
        yield replace(world, agent=replace(world.agent, ports=ports))
