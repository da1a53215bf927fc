"""HTTP/1.1 of uvicorn, whose requests arrive whole in time, on so many connections at most."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gpuagent.api import problems
from gpuagent.api.problems import ProblemError

REQUEST_S = 20.0
"""Within which a request, of 64 KB at most, is to arrive whole, from its first byte or from the connection's begin."""
CONNECTIONS_MAX = 256
"""Beyond them a connection gets a 503. A process may have 1,024 files open on many systems."""
LINGER_S = 0.5


class BoundedHttp11(H11Protocol):
    """A connection. request_s and connections_max are for subclasses to set."""

    request_s = REQUEST_S
    connections_max = CONNECTIONS_MAX
    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > 2 * self.connections_max:
            transport.abort()
        elif len(self.connections) > self.connections_max:
            retry_after = {"Retry-After": problems.RETRY_AFTER_S}
            self._refuse(ProblemError(503, "too_many_connections", "too many connections: try again", retry_after))
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()  # of the next request some may be here already

    def end_incomplete(self, problem: ProblemError) -> None:
        """Give up a request that has not arrived whole."""
        if self._deadline is not None:
            self._give_up(problem)

    def _watch(self) -> None:
        """Hold a request that has not arrived whole to its deadline, which no byte of it prolongs."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._unwatch()
        elif self._deadline is None:
            late = ProblemError(408, "too_slow", f"a request is to arrive within {self.request_s:g} s")
            self._deadline = self.loop.call_later(self.request_s, self._give_up, late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, problem: ProblemError) -> None:
        """Close the connection, with the problem where some of a request came and nothing was answered to it yet."""
        begun = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        if begun or (self.conn.their_state is h11.SEND_BODY and not self.cycle.response_started):
            self._refuse(problem)
        else:
            self.transport.close()

    def _refuse(self, problem: ProblemError) -> None:
        """Answer with a problem document, past the application, and close."""
        self._refused = True
        self._unwatch()
        if self.cycle is not None:  # nothing that the application says still counts
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        content = json.dumps(problems.document(problem, "")).encode()
        headers = {
            **problem.headers,
            "Content-Type": problems.MEDIA_TYPE,
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        self.transport.write_eof()
        # With bytes unread, to close at once would be a reset, which can overtake the answer.
        self.loop.call_later(LINGER_S, self.transport.abort)
