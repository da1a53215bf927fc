"""The file calls of a protocol that has none: each says so."""

from collections.abc import Generator, Iterable

from gpuagent.core.model import Reserved, Vendor
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry
from gpuagent.errors import VendorError


class NoFiles:
    """Such vendors are no candidates for a workload with files (agent/suitable): what comes here is a mistake."""

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:  # noqa: ARG002 - the port's
        raise _none(vendor)

    def send_input(
        self,
        vendor: Vendor,
        job: Reserved,  # noqa: ARG002 - the port's signature, as below
        file: FileEntry,  # noqa: ARG002
        start: int,  # noqa: ARG002
        parts: Iterable[bytes],  # noqa: ARG002
    ) -> int:
        raise _none(vendor)

    def read_file(
        self,
        vendor: Vendor,
        job: VendorJob,  # noqa: ARG002
        file: FileEntry,  # noqa: ARG002
        start: int,  # noqa: ARG002
        seconds: float,  # noqa: ARG002
        checkpoint: str = "",  # noqa: ARG002
    ) -> Generator[bytes, None, None]:
        raise _none(vendor)


def _none(vendor: Vendor) -> VendorError:
    return VendorError(f"{vendor.vendor_id} speaks {vendor.protocol}, which has no files")
