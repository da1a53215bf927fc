"""Updates come to the panel's loop: batched, after a break as well, and from whichever thread a callback runs on."""

import asyncio
import time
from collections.abc import Generator, Iterable
from types import SimpleNamespace
from typing import Any, cast

from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost, StoreError
from gpuagent.panels.kit.message import StatusLine
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.watcher import RATE_HZ, Update, Watcher
from gpuagent.wiring.database import Database

OPEN = Change("open", "00", {})
WITHIN_S = 60


def run(number: int) -> Change:
    return Change("run", f"{number:02}", {"_id": f"run {number}"})


class Script:
    """A database whose watches play these changes and errors in turn; the last goes on in silence."""

    def __init__(self, *watches: Iterable[Change | Exception]) -> None:
        self._watches = list(watches)
        self.resumed: list[str | None] = []

    def watch(self, run_id: str | None, resume_after: str | None) -> Generator[Change, None, None]:
        self.resumed.append(resume_after)
        for step in self._watches.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step
        while True:
            time.sleep(0.01)
            yield Change("idle", "99", {})


def updates(script: Script, until: Any) -> list[Update]:
    async def play() -> list[Update]:
        received: list[Update] = []
        watcher = Watcher(cast(Database, SimpleNamespace(reads=script)), Tasks(), received.append)
        watcher.start()
        ends_at = time.monotonic() + WITHIN_S
        while not until(received):
            assert time.monotonic() < ends_at, received
            await asyncio.sleep(0.005)
        watcher.close()
        assert await asyncio.to_thread(watcher.join, WITHIN_S)
        return received

    return asyncio.run(play())


def runs_of(received: list[Update]) -> set[str]:
    return {run_id for update in received for run_id in update.kinds}


def test_many_changes_make_one_update() -> None:
    started_at = time.monotonic()
    received = updates(Script([OPEN, *map(run, range(50))]), lambda received: len(runs_of(received)) == 50)
    assert len(received) <= 2 + (time.monotonic() - started_at) * RATE_HZ
    assert received[0].all_runs


def test_it_goes_on_after_the_last_change_once_the_database_is_back() -> None:
    script = Script([OPEN, run(1), StoreError("away")], [run(2)])
    received = updates(script, lambda received: "run 2" in runs_of(received))
    assert script.resumed == [None, "01"]
    assert any("away" in update.problem for update in received)
    assert received[-1].problem == ""


def test_when_changes_were_lost_it_begins_anew() -> None:
    script = Script([OPEN, run(1), ChangesLost("too old")], [OPEN, run(2)])
    received = updates(script, lambda received: "run 2" in runs_of(received))
    assert script.resumed == [None, None]
    assert sum(update.all_runs for update in received) >= 1


def test_a_task_of_another_thread_finishes_on_the_loop() -> None:
    async def play() -> str:
        tasks, message = Tasks(), StatusLine()
        task = ExclusiveTask(tasks, message, lambda: None)
        loop = asyncio.get_running_loop()
        on_loop: list[bool] = []

        def finish(_: object) -> None:
            on_loop.append(asyncio.get_running_loop() is loop)
            message.say("done")

        await asyncio.to_thread(task.run, "doing", lambda: None, finish)
        while task.busy:
            await asyncio.sleep(0.005)
        assert on_loop == [True]
        return message.text

    assert "done" in asyncio.run(play())
