"""Real parts, started once: mongod, Anvil with the test USDC, three vendors. Each test begins with
an empty database, a wallet of its own, and vendors without faults. lent_stack.py: parts that already run.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.cli import app
from gpuagent.practice import stack
from tests.support import cdp_server
from tests.support import report_history as seeded
from tests.support.llm_samples import Make, Timepiece, planner_on
from tests.support.llm_server import LlmServer, ScriptedReply, running
from tests.support.scenarios import PUBLIC
from tests.support.scripted_server import ScriptedServer
from tests.support.stack import STACK_SETTINGS, database, lent
from tests.support.world import Market, World, build_world

Told = Callable[[str], None]
DATABASE = database()


@pytest.fixture(scope="session", autouse=True)
def main_loop() -> Iterator[None]:
    """litellm makes an event loop where the main thread has none, and nobody would close that one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


def pytest_report_header() -> str:
    if PUBLIC.is_dir():
        return f"planner scenarios: ours and the public ones in {PUBLIC}"
    return f"planner scenarios: ours alone; there are no public ones in {PUBLIC}"


@pytest.fixture(scope="session")
def shared_market() -> Iterator[Market]:
    with ExitStack() as closing:
        running = lent() or closing.enter_context(stack.start(**STACK_SETTINGS))
        market = Market(running)
        closing.callback(market.close)
        market.catch_up()
        yield market


@pytest.fixture
def market(shared_market: Market) -> Iterator[Market]:
    yield shared_market
    shared_market.heal()


@pytest.fixture
def make_world(market: Market) -> Iterator[Callable[..., World]]:
    with ExitStack() as closing:

        def make(**options: Any) -> World:
            return closing.enter_context(build_world(market, DATABASE, **options))

        market.empty(DATABASE)
        yield make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def hasty_world(make_world: Callable[..., World], market: Market) -> Iterator[World]:
    """An agent that waits for nobody longer than two seconds."""
    vendor_api = HttpVendor(market.environment.get, quote_s=1, submit_s=2, status_s=2)
    yield make_world(vendor_api=vendor_api)
    vendor_api.close()


@pytest.fixture
def gpuagent(world: World) -> Callable[..., Result]:
    """The command, on this world's servers and wallet, with the system's clock."""

    def invoke(*arguments: str, **environment: str | None) -> Result:
        return CliRunner().invoke(app, arguments, env={**world.environment, "COLUMNS": "200", **environment})

    return invoke


@pytest.fixture(scope="session")
def cdp_keys() -> cdp_server.Keys:
    return cdp_server.new_keys()


@pytest.fixture
def cdp(cdp_keys: cdp_server.Keys) -> Iterator[cdp_server.CdpServer]:
    with cdp_server.running(cdp_keys) as server:
        yield server


@pytest.fixture(scope="session")
def book(shared_market: Market) -> Iterator[seeded.Book]:
    """A history to report on, in a database of its own: to be read only."""
    with seeded.empty_database(shared_market.environment["MONGODB_URI"], f"{DATABASE}_book") as (store, database):
        yield seeded.write(store, database)


@pytest.fixture
def own_book(shared_market: Market) -> Iterator[tuple[seeded.Book, Any]]:
    """The same to change, and its database."""
    with seeded.empty_database(shared_market.environment["MONGODB_URI"], f"{DATABASE}_own_book") as (store, database):
        yield seeded.write(store, database), database


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ScriptedServer]:
    scripted_server = ScriptedServer()
    yield scripted_server
    scripted_server.server.shutdown()
    scripted_server.server.server_close()


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Told:
    """Records what a test saw, for docs/safety.md."""
    return lambda text: record_property("observed", text)


@pytest.fixture(scope="session")
def shared_llm_server() -> Iterator[LlmServer]:
    with running() as server:
        yield server


@pytest.fixture
def llm_server(shared_llm_server: LlmServer) -> Iterator[LlmServer]:
    shared_llm_server.script(ScriptedReply())
    yield shared_llm_server
    shared_llm_server.release()


@pytest.fixture
def timepiece() -> Timepiece:
    return Timepiece()


@pytest.fixture
def make_llm(llm_server: LlmServer, timepiece: Timepiece) -> Make:
    """An llm planner on the scripted server. Options: models, comma-separated, and those of LlmPlanner."""
    return partial(planner_on, llm_server.url, timepiece)
