"""Those who follow a run, each with a thread that waits for news on its behalf.

A thread has few messages in hand for its follower; the rest waits in the database. A follower that takes none for a
while is given up, with the reason where it can still be told: it can come back with the id of its last message.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing

from gpuagent.api.messages import Message
from gpuagent.api.problems import Told, told
from gpuagent.errors import GpuAgentError

log = logging.getLogger(__name__)
FOLLOWERS_MAX = 50
IN_HAND = 100
SLOW_S = 10.0

Source = Callable[[], Iterator[Message]]


class Followers:
    """Bounds how many there are. slow_s: for how long one may take nothing."""

    def __init__(self, most: int = FOLLOWERS_MAX, slow_s: float = SLOW_S) -> None:
        self._places = threading.Semaphore(most)
        self._pumps: set[_Pump] = set()
        self.slow_s = slow_s

    @property
    def count(self) -> int:
        return len(self._pumps)

    def dismiss(self) -> None:
        """The server stops: everybody is told to come back. To be called in the event loop."""
        for pump in self._pumps:
            pump.end(Told(503, "server_stops", "the server stops: come back with your last id"))

    @asynccontextmanager
    async def follow(self, source: Source) -> AsyncIterator[AsyncIterator[Message]]:
        """The messages of the source, which is read in a thread. Raises Told: at once when there are too many, and
        while reading, for what the source raises and when the reader is too slow.
        """
        if not self._places.acquire(blocking=False):
            raise Told(503, "too_many_followers", "too many follow runs here: try again", {"Retry-After": "5"})
        pump = _Pump(source, self.slow_s, self._places.release)
        threading.Thread(target=pump.run, name="follower", daemon=True).start()
        self._pumps.add(pump)
        try:
            yield pump.messages()
        finally:
            self._pumps.discard(pump)
            pump.leave()


class _Pump:
    """Carries messages from a thread to the event loop."""

    def __init__(self, source: Source, slow_s: float, ended: Callable[[], None]) -> None:
        self._source, self._slow_s, self._ended = source, slow_s, ended
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message | Told | None] = asyncio.Queue()
        self._room = threading.Semaphore(IN_HAND)
        self._left = threading.Event()

    async def messages(self) -> AsyncIterator[Message]:
        while (found := await self._queue.get()) is not None:
            if isinstance(found, Told):
                raise found
            yield found
            self._room.release()

    def end(self, reason: Told) -> None:
        self._queue.put_nowait(reason)

    def leave(self) -> None:
        self._left.set()
        self._room.release()  # so that the thread sees it

    def run(self) -> None:
        last: Told | None = None
        try:
            last = self._pumped()
        except GpuAgentError as error:
            last = told(error)
        except Told as error:
            last = error
        finally:
            self._put(last)
            self._ended()

    def _pumped(self) -> Told | None:
        with closing(self._source()) as source:  # type: ignore[type-var]
            for message in source:
                if self._left.is_set():
                    return None
                if not self._room.acquire(timeout=self._slow_s):
                    log.warning("a follower took nothing for %s s and is given up", self._slow_s)
                    return Told(408, "too_slow", "you took no message for too long: come back with your last id")
                self._put(message)
        return None

    def _put(self, found: Message | Told | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, found)
        except RuntimeError:  # the server has ended
            self._left.set()
