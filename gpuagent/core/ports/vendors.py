"""The port to the vendors' HTTP APIs."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Protocol

from gpuagent.core.model import NO_ACCESS, Authorized, Challenge, JobAccess, Quote, Reserved, Settled, Submitted, Vendor
from gpuagent.core.work import FileEntry, JobReport


class VendorApi(Protocol):
    """The vendor's HTTP interface. Whatever a vendor does, a method raises VendorError and nothing else."""

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        """A quote for just this order (core/orders), whose hash the vendor repeats. "" asks for a job without one.

        Where the protocol has no quotes it is what an unpaid order is asked for now, good for a short time.
        Raises JobSecretMissing, as challenge() and submit() do, where a secret of the order is not set here.
        """
        ...

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        """The bytes that the vendor has of a file that the job needs; file.bytes when it has all of it."""
        ...

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        """Sends what follows after `start` bytes, which is what input_received() said; the bytes it has then.

        It ends early where its time is over, or where the vendor has other bytes than it was sent.
        """
        ...

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        """Submit without payment; the decoded 402."""
        ...

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        """Submit with the stored header, and nothing else that could pay. What it says of money is not believed."""
        ...

    def status(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        after: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> JobReport:
        """News of the job. after: the cursor of the news that is known, "" for all of it.

        secrets: the names of those that the job got (orders.secret_names), whose values are taken out of the answer.
        access: what the vendor gave for this job when it was ordered.
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
        """The content from a byte on, unproven; ends early once so many seconds have passed. Close it.

        Raises VendorError where nothing at all came in that time. Where there are more than file.bytes, one of those
        comes too. checkpoint: the SHA-256 of the checkpoint's manifest that the file is of, "" for an output.
        secrets, access: as status().
        """
        ...

    def cancel(
        self, vendor: Vendor, vendor_job_id: str, secrets: Sequence[str] = (), access: JobAccess = NO_ACCESS
    ) -> str:
        """Says that the job is not needed any more; the vendor's answer in words. secrets, access: as status()."""
        ...
