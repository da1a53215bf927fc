"""Between widgets, which live on the kernel's loop, and the agent, whose calls block: one thread hop, errors seen.

ipykernel runs a button's callback on the main loop or, by version and setting, on another thread's; and shows the
exception of neither a callback nor a lost task. So every action goes through an Errand, which says its error where
the person looks, and every task is kept until it has ended.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from gpuagent.errors import GpuAgentError
from gpuagent.panels.kit.message import Message

T = TypeVar("T")


class Bridge:
    """Made on the loop that the widgets belong to, such as in a cell. Raises RuntimeError where none runs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a coroutine on the loop, from whichever thread."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._begin(make)
        else:
            self.call(lambda: self._begin(make))

    def call(self, act: Callable[[], None]) -> None:
        """Run it on the loop, soon. Nothing happens once the loop is closed: nobody looks any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Only on the loop."""
        self._loop.call_later(seconds, act)

    async def settled(self) -> None:
        """Returns once nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(make())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Errand:
    """One thing at a time: what a person clicks meanwhile is dropped, and the buttons are disabled."""

    def __init__(self, bridge: Bridge, message: Message, changed: Callable[[], None]) -> None:
        """changed: called whenever busy may have changed, to draw buttons anew."""
        self._bridge, self._message, self._changed = bridge, message, changed
        self.busy = False

    def run(self, doing: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """work: in a thread. done: on the loop, with its result. An error of either is shown."""
        if self.busy:
            return
        self.busy = True
        self._message.busy(doing)
        self._changed()
        self._bridge.spawn(lambda: self._run(work, done))

    async def _run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        try:
            done(await asyncio.to_thread(work))
        except GpuAgentError as error:
            self._message.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self._message.error(f"a bug: {type(error).__name__}: {error}")
        finally:
            self.busy = False
            self._changed()
