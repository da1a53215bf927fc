"""Background tasks of a panel: blocking calls run in a thread, their results and errors come back to the kernel's loop.

ipykernel runs a button's callback on the main loop or, by version and setting, on another thread's; and shows the
exception of neither a callback nor a lost task. So every action goes through an ExclusiveTask, which shows its error
beside the button, and every task is referenced until it has ended.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from gpuagent.core.rights import OWNER, Right, Rights
from gpuagent.errors import GpuAgentError, NotPermitted
from gpuagent.panels.kit.message import StatusLine

T = TypeVar("T")


class Tasks:
    """Tasks on the widgets' loop; to be constructed on it, as in a cell. Raises RuntimeError where none runs.

    rights: of the user at the panel. A button that is disabled or hidden keeps no visitor of a page from its callback.
    """

    def __init__(self, rights: Rights = OWNER) -> None:
        self.rights = rights
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a coroutine on the loop, from whichever thread."""
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            self._begin(make)
        else:
            self.call(lambda: self._begin(make))

    def call(self, act: Callable[[], None]) -> None:
        """Run it on the loop, soon. Nothing happens once the loop is closed, for then nothing is shown."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Run it on the loop after so many seconds; to be called on the loop only."""
        self._loop.call_later(seconds, act)

    async def settled(self) -> None:
        """Returns once no task is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(make())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class ExclusiveTask:
    """One task at a time: a click meanwhile is dropped, and the buttons are disabled."""

    def __init__(
        self, tasks: Tasks, message: StatusLine, changed: Callable[[], None], needs: Right = Right.OPERATE
    ) -> None:
        """changed: called whenever busy may have changed, to draw buttons anew. needs: the right that a task takes."""
        self._tasks, self._message, self._changed, self._needs = tasks, message, changed, needs
        self.busy = False

    def permits(self, needs: Right | None = None) -> bool:
        """Whether the user has the right, this task's own for None; where not, that is shown."""
        try:
            self._tasks.rights.check(needs or self._needs)
        except NotPermitted as error:
            self._message.error(str(error))
            return False
        return True

    def run(
        self, activity: str, work: Callable[[], T], finish: Callable[[T], None], needs: Right | None = None
    ) -> None:
        """work: in a thread. finish: on the loop, with its result. An error of either is shown.

        needs: the right that this takes, the task's own for None; without it nothing is begun.
        """
        if self.busy or not self.permits(needs):
            return
        self.busy = True
        self._message.busy(activity)
        self._changed()
        self._tasks.spawn(lambda: self._run(work, finish))

    async def _run(self, work: Callable[[], T], finish: Callable[[T], None]) -> None:
        try:
            finish(await asyncio.to_thread(work))
        except GpuAgentError as error:
            self._message.error(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self._message.error(f"a bug: {type(error).__name__}: {error}")
        finally:
            self.busy = False
            self._changed()
