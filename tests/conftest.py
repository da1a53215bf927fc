"""Fixtures over real parts that are started once: mongod, Anvil with the test USDC, three vendors.

Each test begins with an empty database, a wallet of its own, and vendors without faults.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from click.testing import Result
from hypothesis import settings
from typer.testing import CliRunner

from gpuagent.adapters.mongo import run_list
from gpuagent.cli import app
from gpuagent.practice import stack
from gpuagent.wire.recursion import LIFTED
from tests.support import cdp_server, collecting, surroundings
from tests.support import report_history as seeded
from tests.support.clock import ManualClock
from tests.support.llm_factories import MakePlanner, planner_on
from tests.support.llm_server import LlmServer, ScriptedReply, running
from tests.support.market import Market
from tests.support.scenarios import PUBLIC
from tests.support.scripted_server import ScriptedServer
from tests.support.seller_jobs import kill_jobs
from tests.support.stack import STACK_SETTINGS, database_name, shared_stack
from tests.support.world import World, build_world

surroundings.settle()
settings.register_profile("explore", deadline=None, max_examples=2_000)
SafetyNote = Callable[[str], None]
DATABASE = database_name()
AHEAD_MAX_S = 29 * 86_400
"""An agent on the system's clock takes a quote for 30 days at most: on a chain further ahead, none is good."""


@pytest.fixture(scope="session", autouse=True)
def main_loop() -> Iterator[None]:
    """An event loop in the main thread: litellm makes one where there is none, and does not close it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(scope="session", autouse=True)
def unhurried_lists() -> Iterator[None]:
    """A list of runs and its count have time on a busy machine too, and still less than other reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_list, "DEADLINE_S", 15.0)
        patch.setattr(run_list, "COUNT_S", 15.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_job_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A seller's jobs go on without it."""
    yield
    kill_jobs(tmp_path_factory.getbasetemp())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is collected stays to the end: the garbage collector need not look through it, now or at any test."""
    gc.disable()
    try:
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            collecting.import_share()
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """pytest removes the folders of earlier sessions by recursion, and some tests make folders of any depth."""
    sys.setrecursionlimit(LIFTED)


def pytest_report_header() -> str:
    if PUBLIC.is_dir():
        return f"planner scenarios: our own and the public ones in {PUBLIC}"
    return f"planner scenarios: our own alone; there are no public ones in {PUBLIC}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    collecting.arrange(items)


@pytest.fixture(scope="session")
def shared_market() -> Iterator[Market]:
    with ExitStack() as closing:
        running = shared_stack() or closing.enter_context(stack.start(**STACK_SETTINGS))
        market = Market(running)
        closing.callback(market.close)
        market.catch_up()
        yield market


@pytest.fixture
def market(shared_market: Market) -> Iterator[Market]:
    shared_market.catch_up()
    yield shared_market
    shared_market.heal()


@pytest.fixture
def make_world(market: Market) -> Iterator[Callable[..., World]]:
    with ExitStack() as closing:

        def make(**options: Any) -> World:
            return closing.enter_context(
                build_world(market, DATABASE, connection=market.connection(DATABASE), **options)
            )

        market.empty(DATABASE)
        yield make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The handlers of the root logger: a command sets up its own, on an output that is closed with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def gpuagent(world: World) -> Callable[..., Result]:
    """The command line, on this world's servers and wallet, with the system's clock."""
    assert world.market.clock.ahead_s < AHEAD_MAX_S, "earlier tests turned the chain past every quote's end here"

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
    """A history to report on, in a database of its own, for tests that only read it."""
    with seeded.empty_database(shared_market.environment["MONGODB_URI"], f"{DATABASE}_book") as (store, database):
        yield seeded.write(store, database)


@pytest.fixture
def own_book(shared_market: Market) -> Iterator[tuple[seeded.Book, Any]]:
    """A history that the test may change, and its database."""
    with seeded.empty_database(shared_market.environment["MONGODB_URI"], f"{DATABASE}_own_book") as (store, database):
        yield seeded.write(store, database), database


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ScriptedServer]:
    scripted_server = ScriptedServer()
    yield scripted_server
    scripted_server.server.shutdown()
    scripted_server.server.server_close()


@pytest.fixture
def safety_note(record_property: Callable[[str, object], None]) -> SafetyNote:
    """A recorder of what a test observed, for docs/safety.md."""
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
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_llm(llm_server: LlmServer, manual_clock: ManualClock) -> MakePlanner:
    """An llm planner on the scripted server. Options: models, comma-separated, and those of LlmPlanner."""
    return partial(planner_on, llm_server.url, manual_clock)
