"""The port to the vendors' HTTP APIs."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from gpuagent.core.model import NO_ACCESS, Authorized, Challenge, JobAccess, Quote, Reserved, Settled, Submitted, Vendor
from gpuagent.core.work import FileEntry, JobReport


@dataclass(frozen=True, slots=True)
class VendorJob:
    """A job at its vendor. job_id: the vendor's. access: what it gave to reach the job by, when it was ordered.

    secrets: the names of the job's secrets (orders.secret_names), whose values are redacted in what the vendor says.
    """

    job_id: str
    access: JobAccess = NO_ACCESS
    secrets: Sequence[str] = ()


class VendorApi(Protocol):
    """A client of vendors of every protocol. Whatever a vendor does, a method raises VendorError and nothing else."""

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        """A binding quote for this very order (core/orders), whose hash the vendor repeats; "" for a job without one.

        A protocol without quotes gives the price in its 402 to an unpaid order, which is good for a short time.
        Raises JobSecretMissing, as challenge() and submit() do, where a secret of the order is not set here.
        """
        ...

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        """How many bytes of an input of the job the vendor has; file.bytes when it has all."""
        ...

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        """Send an input from byte `start` on, which is what input_received() says; the bytes the vendor has then.

        Ends early when its time is over, or when the vendor has other bytes than were sent.
        """
        ...

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        """Submit the job without payment, and decode the 402 that comes back."""
        ...

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        """Submit the job with its stored payment header, and no other. The answer is no proof of payment."""
        ...

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        """The vendor's report on the job. after: the cursor of the last report, "" for all news."""
        ...

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        """A file of the job from byte `start` on, not yet checked against its hash. Ends after `seconds`; close it.

        At most one byte beyond file.bytes is read, so that the caller sees an excess. checkpoint: the SHA-256 of the
        manifest of the checkpoint that the file belongs to, "" for an output. Raises VendorError where nothing came in
        that time.
        """
        ...

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        """Tell the vendor that the job is not needed any more; its answer in words."""
        ...
