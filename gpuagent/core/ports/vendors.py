"""The port to the vendors' HTTP APIs."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Protocol

from gpuagent.core.model import NO_ACCESS, Authorized, Challenge, JobAccess, Quote, Reserved, Settled, Submitted, Vendor
from gpuagent.core.work import FileEntry, JobReport


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

    def status(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        after: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> JobReport:
        """The vendor's report on the job. after: the cursor of the last report, "" for all news.

        secrets: the names of the job's secrets (orders.secret_names), whose values are redacted in the report.
        access: what the vendor gave to reach this job by, when it was ordered.
        """
        ...

    def read_file(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        file: FileEntry,
        start: int,
        seconds: float,
        checkpoint: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> Iterator[bytes]:
        """A file of the job from byte `start` on, not yet checked against its hash. Ends after `seconds`; close it.

        At most one byte beyond file.bytes is read, so that the caller sees an excess. checkpoint: the SHA-256 of the
        manifest of the checkpoint that the file belongs to, "" for an output. secrets, access: as in status(). Raises
        VendorError where nothing came in that time.
        """
        ...

    def cancel(
        self, vendor: Vendor, vendor_job_id: str, secrets: Sequence[str] = (), access: JobAccess = NO_ACCESS
    ) -> str:
        """Tell the vendor that the job is not needed any more; its answer in words. secrets, access: as in status()."""
        ...
