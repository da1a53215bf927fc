"""News comes to the panel's loop: batched, after a break as well, and from whichever thread a callback runs on."""

import asyncio
import time
from collections.abc import Generator, Iterable
from types import SimpleNamespace
from typing import Any, cast

from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost, StoreError
from gpuagent.panels.kit.message import Message
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.panels.watcher import RATE_HZ, Live, News
from gpuagent.wiring import Database

OPEN = Change("open", "00", {})
WITHIN_S = 10


def run(number: int) -> Change:
    return Change("run", f"{number:02}", {"_id": f"run {number}"})


class Script:
    """A store whose watches play what is written here, one after the other; the last goes on in silence."""

    def __init__(self, *watches: Iterable[Change | Exception]) -> None:
        self._watches = list(watches)
        self.resumed: list[str | None] = []

    def watch(self, run_id: str | None, resume_after: str | None) -> Generator[Change, None, None]:
        self.resumed.append(resume_after)
        for one in self._watches.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one
        while True:
            time.sleep(0.01)
            yield Change("idle", "99", {})


def told(script: Script, until: Any) -> list[News]:
    async def play() -> list[News]:
        heard: list[News] = []
        live = Live(cast(Database, SimpleNamespace(reads=script)), Bridge(), heard.append)
        live.start()
        ends_at = time.monotonic() + WITHIN_S
        while not until(heard):
            assert time.monotonic() < ends_at, heard
            await asyncio.sleep(0.005)
        live.close()
        assert await asyncio.to_thread(live.join, WITHIN_S)
        return heard

    return asyncio.run(play())


def runs_of(heard: list[News]) -> set[str]:
    return {run_id for news in heard for run_id in news.kinds}


def test_many_changes_are_told_together() -> None:
    began = time.monotonic()
    heard = told(Script([OPEN, *map(run, range(50))]), lambda heard: len(runs_of(heard)) == 50)
    assert len(heard) <= 2 + (time.monotonic() - began) * RATE_HZ
    assert heard[0].everything


def test_it_goes_on_after_the_last_change_once_the_database_is_back() -> None:
    script = Script([OPEN, run(1), StoreError("away")], [run(2)])
    heard = told(script, lambda heard: "run 2" in runs_of(heard))
    assert script.resumed == [None, "01"]
    assert any("away" in news.problem for news in heard)
    assert heard[-1].problem == ""


def test_when_changes_were_lost_it_begins_anew() -> None:
    script = Script([OPEN, run(1), ChangesLost("too old")], [OPEN, run(2)])
    heard = told(script, lambda heard: "run 2" in runs_of(heard))
    assert script.resumed == [None, None]
    assert sum(news.everything for news in heard) >= 1


def test_an_errand_of_another_thread_is_done_on_the_loop() -> None:
    async def play() -> str:
        bridge, message = Bridge(), Message()
        errand = Errand(bridge, message, lambda: None)
        loop = asyncio.get_running_loop()
        where: list[bool] = []

        def done(_: object) -> None:
            where.append(asyncio.get_running_loop() is loop)
            message.say("done")

        await asyncio.to_thread(errand.run, "doing", lambda: None, done)
        while errand.busy:
            await asyncio.sleep(0.005)
        assert where == [True]
        return message.text

    assert "done" in asyncio.run(play())
