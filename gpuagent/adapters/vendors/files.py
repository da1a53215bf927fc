"""Files to and from a vendor, part by part: inputs before the payment, results and checkpoints after it."""

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from gpuagent.adapters.vendors.calls import VendorCalls, no_answer, scrubbed, url_of
from gpuagent.core.content import in_parts
from gpuagent.core.model import Reserved, Vendor
from gpuagent.core.orders import secret_names
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.text import clean
from gpuagent.core.work import FileEntry
from gpuagent.errors import FileAltered, VendorBusy, VendorError
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply
from gpuagent.wire.streamed_http import Stream, StreamedHttp
from gpuagent.wire.transport import deadline

PIECE = 1024 * 1024
"""Bytes of one PUT: what a common proxy lets pass, and a slow line carries within a deadline."""
WHOLE, PARTIAL = 200, 206
UNKNOWN, CONFLICT = 404, 409
_RANGE = re.compile(r"bytes\s+([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16}|\*)", re.ASCII | re.IGNORECASE)


class FileCalls(VendorCalls):
    """The calls that move files. upload_s: seconds that send_input() takes at most."""

    def __init__(
        self, secret: Callable[[str], str | None], short: BoundedHttp, downloads: StreamedHttp, upload_s: float
    ) -> None:
        super().__init__(secret)
        self._short, self._downloads, self._upload_s = short, downloads, upload_s

    def close(self) -> None:
        self._downloads.close()

    @scrubbed
    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        self._remember(vendor, secret_names(job.quote.order))
        params = {"sha256": file.sha256}
        reply = self._call(
            self._short, vendor, "GET", "/job-input", params=params, key=job.job_id, expect=(200, UNKNOWN)
        )
        if reply.status == UNKNOWN:  # of the content; a vendor that has no such route says so to the PUT
            return 0
        answer = self._object(vendor, reply)
        complete = answer.get("complete")
        if complete is True and "received" not in answer:
            return file.bytes
        received = _received(vendor, file, answer)
        if (complete is True) != (received == file.bytes) and complete is not None:
            raise VendorBusy(
                f"{vendor.vendor_id} has {received} of the {file.bytes} bytes of {file.path} and calls it "
                f"{'complete' if complete is True else 'incomplete'}: it is asked again"
            )
        return received

    @scrubbed
    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        self._remember(vendor, secret_names(job.quote.order))
        received, ends_at = start, time.monotonic() + self._upload_s
        pieces = in_parts(parts, PIECE, file.bytes - start) if file.bytes else (b"",)  # an empty file is sent too
        for piece in pieces:
            seconds = ends_at - time.monotonic()
            if seconds <= 0:
                break
            params = {"sha256": file.sha256, "size": str(file.bytes), "start": str(received)}
            size = len(piece)
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            with deadline(seconds):
                reply = self._call(
                    self._short,
                    vendor,
                    "PUT",
                    "/job-input",
                    content=iter([piece]),  # the request, which may live on for a while, does not keep it
                    params=params,
                    key=job.job_id,
                    headers=headers,
                    expect=(200, 201, CONFLICT),
                )
            due = received + size
            received = _received(vendor, file, self._object(vendor, reply))
            if received != due:  # it has more or less than we know of: what follows is read anew from there
                break
        return received

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        self._remember(vendor, job.secrets)
        if start >= file.bytes:
            return
        params = {"vendorJobId": job.job_id, "path": file.path}
        if checkpoint:
            params["checkpoint"] = checkpoint
        with self.scrubbed_errors(vendor):
            headers = self._headers(vendor, job.access) | {"Range": f"bytes={start}-"}
            try:
                stream = self._downloads.stream(url_of(vendor, "/job-file"), seconds, headers=headers, params=params)
                with stream:
                    yield from self._body(vendor, file, start, stream)
            except HttpFailed as error:
                raise no_answer(vendor, error) from error

    def _body(self, vendor: Vendor, file: FileEntry, start: int, stream: Stream) -> Iterator[bytes]:
        """The bytes from start on, and one beyond the last where there are more: whoever keeps them refuses it."""
        if stream.status not in (WHOLE, PARTIAL):
            reply = Reply(stream.status, stream.headers, stream.text())
            self._check(vendor, "/job-file", reply, ())
        encoding = stream.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise VendorError(
                f"{vendor.vendor_id} sends {file.path} compressed ({clean(encoding, 30)}), though it was asked not to"
            )
        position, end = 0, file.bytes
        if stream.status == PARTIAL:
            position, end = start, _range_end(vendor, file, start, stream.headers.get("content-range", ""))
        for part in stream.parts():
            piece = part[max(0, start - position) : file.bytes + 1 - position]
            position += len(part)
            if piece:
                yield piece
            if position > file.bytes:
                return
        if position < end and not stream.expired:
            raise VendorError(f"{vendor.vendor_id} ends {file.path} after {position} of {file.bytes} bytes")
        if position == 0 or (stream.status == PARTIAL and position == start):
            raise VendorError(f"{vendor.vendor_id} sent nothing of {file.path} in the time that there was")
        if position <= start:
            raise VendorError(
                f"{vendor.vendor_id} knows no Range: it begins {file.path} anew each time, and did not reach byte "
                f"{start} in the time that there was"
            )


def _received(vendor: Vendor, file: FileEntry, answer: Mapping[str, Any]) -> int:
    """The bytes that the vendor says it has. Raises VendorError for what is no such number."""
    received = answer.get("received")
    if type(received) is not int or not 0 <= received <= file.bytes:
        raise VendorError(
            f"{vendor.vendor_id} does not say how much of {file.path} it has: `received` is to be a number of bytes, "
            f"0 to {file.bytes}"
        )
    return received


def _range_end(vendor: Vendor, file: FileEntry, start: int, text: str) -> int:
    """The byte behind the part that is sent, which may end before the file does.

    Raises VendorError for another part than was asked for, FileAltered for one of a file of another size.
    """
    match = _RANGE.fullmatch(text.strip())
    if match and match[3] not in ("*", str(file.bytes)):
        raise FileAltered(f"{vendor.vendor_id} has {match[3]} bytes of {file.path}, of which it listed {file.bytes}")
    if not match or int(match[1]) != start or not start <= int(match[2]) < file.bytes:
        raise VendorError(
            f"{vendor.vendor_id} sends another part of {file.path} ({clean(text, 60) or 'without Content-Range'}) than "
            f"bytes {start} to {file.bytes - 1}"
        )
    return int(match[2]) + 1
