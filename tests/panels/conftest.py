"""A console on the real stack, without a browser: its widgets are clicked and read from Python."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from gpuagent import settings
from gpuagent.panels.console import Console
from gpuagent.practice.faults import FaultSwitches
from gpuagent.session import Session
from tests.support.world import World

WITHIN_S = 60
Scene = Callable[["Seat"], Awaitable[None]]


@dataclass
class Seat:
    """A user at a console: clicks, and waits for what the screen shows."""

    console: Console
    session: Session

    async def click(self, button: Any) -> None:
        assert not button.disabled, f"{button.description} is disabled"
        button.click()
        await self.console.settled()

    async def sees(self, shown_yet: Callable[[], bool]) -> None:
        """Waits until the screen shows it."""
        ends_at = time.monotonic() + WITHIN_S
        while not shown_yet():
            assert time.monotonic() < ends_at, self.screen()
            await asyncio.sleep(0.01)

    def screen(self) -> str:
        view, console = self.console.view, self.console
        parts = [view.head, view.phase, view.budget, view.jobs, view.payments, view.why, view.log]
        panels = (console.controls, console.approval, console.kill_switch, console.launch_form)
        messages = [*(panel.message for panel in panels), console.problem]
        return "\n".join([*(part.value for part in parts), *(message.text for message in messages)])


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    token = {"Authorization": f"Bearer {world.environment['GPU_VENDOR_SECRET']}"}
    with httpx.Client(base_url=world.environment["VENDOR_URL"], headers=token, timeout=60) as client:
        yield Session(world.agent, settings.read(world.environment), world.environment, FaultSwitches(client))


@pytest.fixture
def at_console(session: Session) -> Callable[..., None]:
    """Plays a scene at a console that is closed afterwards. Other ports than the world's can be given by name."""

    def play(scene: Scene, run_id: str = "", **ports: Any) -> None:
        agent = replace(session.agent, ports=replace(session.agent.ports, **ports))
        play_scene(scene, replace(session, agent=agent), run_id)

    return play


def play_scene(scene: Scene, session: Session, run_id: str = "") -> None:
    asyncio.run(_play(scene, session, run_id))


async def _play(scene: Scene, session: Session, run_id: str) -> None:
    console = Console(session, run_id)
    try:
        await scene(Seat(console, session))
    finally:
        console.close()
        await console.settled()
        assert await asyncio.to_thread(console.ended, WITHIN_S), "its watcher goes on"
