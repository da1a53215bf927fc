"""The file calls of a protocol that has none, for jobs whose command fetches and sends files by signed URLs."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Lock
from urllib.parse import urlsplit

from gpuagent.adapters.vendors.calls import VendorCalls
from gpuagent.adapters.vendors.manifest_line import JobNews, Place, read_news
from gpuagent.adapters.vendors.no_files import NoFiles
from gpuagent.adapters.vendors.wrapper import LIST, URL_MAX_S, life_s, needs_depot, url_list
from gpuagent.core.model import NO_ENVELOPE, Envelope, Quote, Reserved, Vendor
from gpuagent.core.orders import CHECKPOINT, FILES
from gpuagent.core.ports.files import Depot
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobReport
from gpuagent.errors import FileMissing, StoreError, VendorError
from gpuagent.wire.bounded_http import is_encrypted_or_local
from gpuagent.wire.loopback import is_loopback
from gpuagent.wire.scrub import KEY

JOBS_KEPT = 100
"""Jobs of which it is remembered where their files are; of another the vendor is asked once more."""


_SIGNED = re.compile(
    r"X-Amz-(?:Algorithm|Credential|Signature|Security-Token)(?:=|%3D)[^\s\"'<>\\]+", re.ASCII | re.IGNORECASE
)


class DepotFiles(NoFiles, VendorCalls):
    """depot: None where the file store signs no URLs; then no job with files is sold there."""

    def __init__(self, secret: Callable[[str], str | None], depot: Depot | None) -> None:
        super().__init__(secret)
        self._depot = depot
        self._slots: OrderedDict[tuple[str, str], Mapping[Place, str]] = OrderedDict()
        self._slots_lock = Lock()

    @contextmanager
    def scrubbed_errors(self, vendor: Vendor) -> Iterator[None]:
        """As for all vendors; and without signatures of URLs, of which not all are known here."""
        try:
            with super().scrubbed_errors(vendor):
                yield
        except VendorError as error:
            error.args = tuple(without_signatures(str(argument)) for argument in error.args)
            raise

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        """As the port says. It notes where the job's files are, by news_of()."""
        raise NotImplementedError

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        """All of it: the vendor's machine fetches it from the file store, once the job is paid."""
        return super().input_received(vendor, job, file) if job.quote.envelope == NO_ENVELOPE else file.bytes

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        if self._depot is None or not job.access.folder:
            return super().read_file(vendor, job, file, start, seconds, checkpoint)
        return self._read(self._depot, vendor, job, file, start, seconds, checkpoint)

    def _read(
        self,
        depot: Depot,
        vendor: Vendor,
        job: VendorJob,
        file: FileEntry,
        start: int,
        seconds: float,
        checkpoint: str,
    ) -> Generator[bytes, None, None]:
        """The bytes from start on, and one beyond the last where there are more: whoever keeps them refuses it."""
        if start >= file.bytes:
            return
        ends_at, position = time.monotonic() + seconds, start
        with self.scrubbed_errors(vendor):
            slot = self._slot(vendor, job, (checkpoint, file.path, file.sha256))
            try:
                with closing(depot.fetch(job.access.folder, slot, start)) as parts:
                    for part in parts:
                        piece = part[: file.bytes + 1 - position]
                        position += len(piece)
                        yield piece
                        if position > file.bytes or (time.monotonic() > ends_at and position < file.bytes):
                            return
            except FileMissing:
                raise VendorError(f"{vendor.vendor_id} lists {file.path}, and has not sent it") from None
            if position < file.bytes:
                raise VendorError(f"{vendor.vendor_id} sent {position} of {file.bytes} bytes of {file.path}")

    def _slot(self, vendor: Vendor, job: VendorJob, place: Place) -> str:
        """Where a listed file is, by the job's output; a process that has not read that yet does so now."""
        key = vendor.vendor_id, job.job_id
        if place not in self._slots.get(key, {}):
            self.status(vendor, job)
        slot = self._slots.get(key, {}).get(place, "")
        if not slot:
            raise VendorError(f"{vendor.vendor_id} does not say where {place[1]} is, or not any more")
        return slot

    def _news_of(self, vendor: Vendor, job: VendorJob, lines: Sequence[str]) -> JobNews:
        """What the wrapper of the job said in its output; where its files are is kept."""
        if not job.access.folder:
            return JobNews(tuple(lines))
        news = read_news(lines, job.access.folder)
        with self._slots_lock:
            self._slots[vendor.vendor_id, job.job_id] = news.slots
            self._slots.move_to_end((vendor.vendor_id, job.job_id))
            while len(self._slots) > JOBS_KEPT:
                self._slots.popitem(last=False)
        return news

    def _new_envelope(self, vendor: Vendor, quote: Quote) -> Envelope:
        """The envelope of a draft of a quote, none where the job needs none. Raises VendorError, in words for the plan.

        Nothing is written: its URL leads nowhere before _hand_out().
        """
        if self._depot is None or not needs_depot(quote.order):
            return NO_ENVELOPE
        seconds = life_s(quote.max_hours)
        if seconds > URL_MAX_S:
            raise VendorError(
                f"{vendor.vendor_id} gets a job's files by signed URLs, which live for {URL_MAX_S} s at most, and this "
                f"job may take {seconds} s: set max_duration in the job file to less, or leave it to another vendor"
            )
        try:
            folder = self._depot.new_folder()
            url = self._depot.place_url(folder, LIST, seconds)
        except StoreError as error:
            raise VendorError(f"no URL for {vendor.vendor_id} could be signed: {error}") from error
        if not is_encrypted_or_local(url) or (_is_local(url) and not _is_local(vendor.endpoint)):
            raise VendorError(
                f"{vendor.vendor_id} cannot reach the file store: FILE_STORE is to be a bucket behind https, not "
                "on this machine alone"
            )
        self._remember_envelope(vendor, Envelope(folder, url))
        return Envelope(folder, url)

    def _hand_out(self, vendor: Vendor, quote: Quote) -> None:
        """Writes the list that the command fetches: from now on the job's files can be had. Raises StoreError."""
        self._remember_envelope(vendor, quote.envelope)
        if quote.envelope != NO_ENVELOPE and self._depot is not None:
            self._depot.leave(quote.envelope.folder, LIST, url_list(quote, self._depot))

    def _remember_envelope(self, vendor: Vendor, envelope: Envelope) -> None:
        """For the scrubber: a vendor may repeat the command that it was sent."""
        signature = envelope.url.rpartition("X-Amz-Signature=")[2]
        tokens = self._job_tokens[vendor.vendor_id]
        tokens.extend(text for text in (envelope.folder, signature) if text and text not in tokens)

    @staticmethod
    def _accepts(envelope: Envelope, *words: str) -> tuple[str, ...]:
        """What the protocol can, and with an envelope files both ways."""
        return words if envelope == NO_ENVELOPE else (*words, FILES, CHECKPOINT)


def _is_local(url: str) -> bool:
    """Whether it leads to this machine, of a URL that is_encrypted_or_local()."""
    return is_loopback(urlsplit(url).hostname or "")


def without_signatures(text: str) -> str:
    """The text without what lets somebody else use a signed URL: a vendor may repeat those of its job."""
    return _SIGNED.sub(KEY, text)
