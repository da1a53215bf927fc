"""Streamed answers of untrusted servers, under one deadline: no body is ever whole in memory."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import httpcore
import httpx

from gpuagent.wire.bounded_http import BODY_MAX, PROBLEM_MAX, TRANSPORT_ERRORS, BoundedHttp, HttpFailed, problem_of
from gpuagent.wire.scrub import Scrubber
from gpuagent.wire.transport import deadline


class Stream:
    """An answer of which the head has come. Close it.

    expired: whether parts() ended because the time was over.
    """

    def __init__(self, response: httpx.Response, ends_at: float, scrubber: Scrubber, way: str) -> None:
        self._response, self._ends_at, self._scrubber, self._way = response, ends_at, scrubber, way
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.expired = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._response.close()

    def parts(self) -> Iterator[bytes]:
        """The body as it was sent, never unpacked. Ends early once the time is over; raises HttpFailed."""
        parts = self._response.iter_raw()
        while True:
            try:
                # Set for each part: between two of them the reader's own exchanges run in this thread.
                with deadline(self._ends_at - time.monotonic()):
                    part = next(parts, None)
            except httpcore.TimeoutException:
                self.expired = True
                return
            except TRANSPORT_ERRORS as error:
                problem = self._scrubber.scrub(problem_of(error))[:PROBLEM_MAX] + self._way
            else:
                if part is None:
                    return
                yield part
                continue
            # Outside of the handler, so that no error that quotes the server as it is hangs on to this one.
            raise HttpFailed(problem)

    def text(self, size_max: int = BODY_MAX) -> bytes:
        """The beginning of the body, for words about it."""
        body = bytearray()
        for part in self.parts():
            body += part
            if len(body) >= size_max:
                break
        return bytes(body[:size_max])


class StreamedHttp(BoundedHttp):
    """A BoundedHttp whose larger answers come as a Stream."""

    def stream(
        self,
        url: str,
        seconds: float,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Stream:
        """The answer to a GET, with so much time until the end of its body. Raises HttpFailed where no head comes."""
        scrubber, ends_at = self._scrubber(url, headers), time.monotonic() + seconds
        try:
            # Every wait is bounded by what is left of the time; a bound of each would end a slow answer early.
            request = self._request("GET", url, headers=headers, params=params, timeout=None)
            with deadline(seconds):
                response = self._transport.handle_request(request)
        except TRANSPORT_ERRORS as error:
            problem = scrubber.scrub(problem_of(error))[:PROBLEM_MAX] + self._way(url)
        else:
            return Stream(response, ends_at, scrubber, self._way(url))
        raise HttpFailed(problem)
