"""Followers of live runs: each client has a thread of its own that waits for messages.

A thread holds few messages for its follower; the rest waits in the database. A follower that takes none for a while
is dropped, with the reason where it can still be sent: it can come back with the id of its last message.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing

from gpuagent.api.messages import LiveMessage
from gpuagent.api.problems import ProblemError, problem_of
from gpuagent.errors import GpuAgentError

log = logging.getLogger(__name__)
FOLLOWERS_MAX = 50
MESSAGES_HELD_MAX = 100
SLOW_S = 10.0

Source = Callable[[], Iterator[LiveMessage]]


class Followers:
    """The followers of a server, at most so many. slow_s: how long one may take no message before it is dropped."""

    def __init__(self, followers_max: int = FOLLOWERS_MAX, slow_s: float = SLOW_S) -> None:
        self._places = threading.Semaphore(followers_max)
        self._pumps: set[_Pump] = set()
        self.slow_s = slow_s

    @property
    def count(self) -> int:
        return len(self._pumps)

    def dismiss(self) -> None:
        """Tell every follower that the server stops and to come back. To be called in the event loop."""
        for pump in self._pumps:
            pump.end(ProblemError(503, "server_stops", "the server stops: come back with your last id"))

    @asynccontextmanager
    async def follow(self, source: Source) -> AsyncIterator[AsyncIterator[LiveMessage]]:
        """The messages of the source, which is read in a thread.

        Raises ProblemError: at once when there are too many followers, and while reading, for what the source raises
        and when the reader is too slow.
        """
        if not self._places.acquire(blocking=False):
            raise ProblemError(503, "too_many_followers", "too many follow runs here: try again", {"Retry-After": "5"})
        pump = _Pump(source, self.slow_s, self._places.release)
        threading.Thread(target=pump.run, name="follower", daemon=True).start()
        self._pumps.add(pump)
        try:
            yield pump.messages()
        finally:
            self._pumps.discard(pump)
            pump.leave()


class _Pump:
    """A thread that carries messages of a source to the event loop."""

    def __init__(self, source: Source, slow_s: float, on_end: Callable[[], None]) -> None:
        self._source, self._slow_s = source, slow_s
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[LiveMessage | ProblemError | None] = asyncio.Queue()
        self._slots = threading.Semaphore(MESSAGES_HELD_MAX)
        self._stop = threading.Event()

    async def messages(self) -> AsyncIterator[LiveMessage]:
        while (message := await self._queue.get()) is not None:
            if isinstance(message, ProblemError):
                raise message
            yield message
            self._slots.release()

    def end(self, reason: ProblemError) -> None:
        self._queue.put_nowait(reason)

    def leave(self) -> None:
        self._stop.set()
        self._slots.release()  # so that the thread sees it

    def run(self) -> None:
        last: ProblemError | None = None
        try:
            last = self._pump()
        except GpuAgentError as error:
            last = problem_of(error)
        except ProblemError as error:
            last = error
        finally:
            self._put(last)
            self._on_end()

    def _pump(self) -> ProblemError | None:
        with closing(self._source()) as source:  # type: ignore[type-var]
            for message in source:
                if self._stop.is_set():
                    return None
                if not self._slots.acquire(timeout=self._slow_s):
                    log.warning("a follower took nothing for %s s and is dropped", self._slow_s)
                    return ProblemError(
                        408, "too_slow", "you took no message for too long: come back with your last id"
                    )
                self._put(message)
        return None

    def _put(self, message: LiveMessage | ProblemError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)
        except RuntimeError:  # the server has ended
            self._stop.set()
