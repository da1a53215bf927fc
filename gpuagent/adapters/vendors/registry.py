"""The port VendorApi for vendors of every protocol: each call goes to the adapter that the vendor's record names."""

from collections.abc import Callable, Generator, Iterable, Mapping
from decimal import Decimal
from threading import Lock

from gpuagent.adapters.vendors.adapter import Adapter, Parts
from gpuagent.core.model import (
    OWN_PROTOCOL,
    Authorized,
    Challenge,
    Quote,
    Reserved,
    Settled,
    Submitted,
    Vendor,
)
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobReport
from gpuagent.errors import VendorError


def _own(parts: Parts) -> Adapter:
    from gpuagent.adapters.vendors.http import HttpVendor

    return HttpVendor(parts.secret, content=parts.content, egress=parts.egress, now=parts.now)


def _hypercli(parts: Parts) -> Adapter:
    from gpuagent.adapters.vendors.hypercli import HyperCliVendor

    return HyperCliVendor(parts)


def _openvps(parts: Parts) -> Adapter:
    from gpuagent.adapters.vendors.openvps import OpenVpsVendor

    return OpenVpsVendor(parts)


def _prism(parts: Parts) -> Adapter:
    from gpuagent.adapters.vendors.prism import PrismVendor

    return PrismVendor(parts)


PROTOCOLS: Mapping[str, Callable[[Parts], Adapter]] = {
    OWN_PROTOCOL: _own,
    "hypercli": _hypercli,
    "openvps": _openvps,
    "prism": _prism,
}
"""What opens the adapter of a protocol, by the name that a vendor's record has. Each imports what only it needs."""


class VendorRegistry:
    """The VendorApi of all protocols, safe to share between threads. An adapter is opened when it is first needed."""

    def __init__(self, parts: Parts, protocols: Mapping[str, Callable[[Parts], Adapter]] = PROTOCOLS) -> None:
        self._parts, self._protocols = parts, protocols
        self._open: dict[str, Adapter] = {}
        self._lock = Lock()

    def close(self) -> None:
        for adapter in self._open.values():
            adapter.close()

    def of(self, vendor: Vendor) -> Adapter:
        """The adapter that speaks to the vendor. Raises VendorError where there is none."""
        if vendor.protocol not in self._protocols:
            raise VendorError(
                f"{vendor.vendor_id} speaks {vendor.protocol}, and this agent speaks {', '.join(self._protocols)}"
            )
        with self._lock:
            if vendor.protocol not in self._open:
                self._open[vendor.protocol] = self._protocols[vendor.protocol](self._parts)
            return self._open[vendor.protocol]

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        return self.of(vendor).quote(vendor, goal, gpu_type, max_hours, order)

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        return self.of(vendor).input_received(vendor, job, file)

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        return self.of(vendor).send_input(vendor, job, file, start, parts)

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        return self.of(vendor).challenge(vendor, job)

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        return self.of(vendor).submit(vendor, job)

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        return self.of(vendor).status(vendor, job, after)

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        return self.of(vendor).read_file(vendor, job, file, start, seconds, checkpoint)

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        return self.of(vendor).cancel(vendor, job)
