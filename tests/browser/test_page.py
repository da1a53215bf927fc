"""`gpuagent console` in a real browser: one server, three roles, and visitors who send what their page does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from websockets.exceptions import InvalidStatus

from gpuagent.core.money import UNIT
from tests.conftest import SafetyNote
from tests.support.browser_notebook import SLOW_MS, Pictures
from tests.support.console_page import (
    TOKENS,
    ConsolePage,
    Intruder,
    ended,
    kernel_id,
    own_environment,
    running_page,
    visit,
)
from tests.support.market import Market
from tests.support.own_database import embedded_world
from tests.support.screen_access import check_screen
from tests.support.world import World

SECRETS = ("X402_PRIVATE_KEY", "GPU_VENDOR_SECRET", "VENDOR_URL", "GPUAGENT_API_TOKENS")
NOWHERE = (
    *("page.ipynb", "voila/files/page.ipynb", "voila/render/page.ipynb", "voila/tree", "voila/api/contents"),
    *("api/contents", "api/kernels", "api/sessions", "notebooks/00_quickstart.ipynb", "voila/files/server.py"),
)

INSIDE = """() => [...document.querySelectorAll('.ga-panel .ga')]
  .every(part => part.getBoundingClientRect().right <= window.innerWidth)
  && [...document.querySelectorAll('.ga-panel .wide')].every(table => table.scrollWidth <= table.clientWidth)"""
SEEN_AGAIN = """() => {
  document.dispatchEvent(new Event('visibilitychange'));
  return document.querySelector('.ga-ended').textContent;
}"""


@pytest.fixture
def own_world(market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(market, tmp_path / "xdg", monkeypatch, "page") as world:
        yield world


@pytest.mark.safety("visitors of the console's page who press what is hidden, and reach for others' processes")
def test_a_page_for_three_roles(
    own_world: World, browser: Browser, tmp_path: Path, pictures: Pictures, safety_note: SafetyNote
) -> None:
    world = own_world
    world.allow(approval_above=UNIT)
    run = world.tick(world.start())
    with running_page({**world.environment, **own_environment(tmp_path)}) as page:
        check_nothing_else_is_served(page)
        contexts = {visitor: browser.new_context(viewport={"width": 1440, "height": 1900}) for visitor in TOKENS}
        asked: list[str] = []
        for context in contexts.values():
            context.on("request", lambda request: asked.append(request.url))
        tabs: dict[str, Page] = {}
        for visitor, context in contexts.items():
            tabs[visitor] = tab = visit(context, page, visitor)
            expect(tab.locator(".ga-panel")).to_contain_text("Approve 1.40 USD for gpu_vendor_1?", timeout=2 * SLOW_MS)
            expect(tab).to_have_url(page.url)
        check_processes(page, world)
        pressed = check_reader(page, tabs["rita"], world)
        check_others_kernels(page, tabs)
        check_operator_approves_nothing(page, tabs["otto"], world)
        check_narrow(tabs["ada"], pictures)
        check_approver(page, tabs["ada"], world, run.run_id)
        tabs["otto"].get_by_role("button", name="Auto", exact=True).click()
        expect(tabs["otto"].locator(".ga-panel")).to_contain_text("1.40 USD to gpu_vendor_1 settled")
        assert [transfer.amount for transfer in world.transfers()] == [1_400_000]
        assert {url.split("/")[2] for url in asked if url.startswith("http")} == {page.url.split("/")[2]}
        check_ended(page, tabs["rita"])
        kernels = page.kernels()
        page.stop()
        assert ended(kernels)
        safety_note(f"{pressed} buttons of a reader's process pressed, none changed anything")


def check_nothing_else_is_served(page: ConsolePage) -> None:
    with httpx.Client(base_url=page.url, headers={"Authorization": f"Bearer {TOKENS['otto']}"}, timeout=60) as client:
        assert {path: client.get(path).status_code for path in NOWHERE} == dict.fromkeys(NOWHERE, 404)
    for headers in ({}, {"Authorization": "Bearer no-token-of-this-server"}):
        answer = httpx.get(page.url, headers=headers, timeout=60)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=%2F")
    refused = httpx.get(
        page.url, params={"theme": "<script>"}, headers={"Authorization": f"Bearer {TOKENS['otto']}"}, timeout=60
    )
    assert refused.status_code == 400
    assert page.kernels() == []


def check_processes(page: ConsolePage, world: World) -> None:
    """Only the operator's process holds the key; the others' MongoDB users are kept from writing by the database."""
    key = world.environment["X402_PRIVATE_KEY"]
    assert page.kernel_of("otto").environ()["X402_PRIVATE_KEY"] == key
    for visitor, may in (("rita", []), ("ada", ["runs", "jobs"])):
        environ = page.kernel_of(visitor).environ()
        assert not set(SECRETS) & set(environ)
        assert not any(secret in value for value in environ.values() for secret in (key, *TOKENS.values()))
        with MongoClient[dict[str, Any]](environ["MONGODB_URI"]) as client:
            database = client[environ["MONGODB_DB_NAME"]]
            assert database.runs.find_one()
            for name in ("runs", "jobs", "payments", "policies", "vendors", "refunds"):
                change = lambda collection=database[name]: collection.update_one({"_id": 0}, {"$set": {"a": 1}})  # noqa: E731
                if name in may:
                    change()
                    continue
                with pytest.raises(OperationFailure, match="not authorized"):
                    change()


def check_reader(page: ConsolePage, tab: Page, world: World) -> int:
    """A reader sees no button that acts, and presses all there are in their process: nothing comes of it."""
    for name in ("New run", "Auto", "Tick", "Approve 1.40 USD", "Reject", "Cancel run", "Kill switch", "Limits"):
        expect(tab.get_by_role("button", name=name, exact=True)).to_have_count(0)
    before = everything(world)
    with Intruder(page, tab) as intruder:
        buttons = intruder.buttons()
        assert {"Launch", "Auto", "Tick", "Approve 1.40 USD", "Halt all payments", "Change limits"} <= set(buttons)
        for comm in (*buttons.values(), *buttons.values()):
            intruder.press(comm)
        assert "execute_result" not in intruder.run("6 * 7")
        assert intruder.buttons().keys() == buttons.keys()  # it has worked through all that was pressed
    assert everything(world) == before
    assert world.transfers() == ()
    return len(buttons)


def check_others_kernels(page: ConsolePage, tabs: dict[str, Page]) -> None:
    """To a reader the operator's process does not exist."""
    operators = kernel_id(tabs["otto"])
    with pytest.raises(InvalidStatus, match="404"), Intruder(page, tabs["rita"], operators):
        pass
    cookies = {cookie["name"]: cookie["value"] for cookie in tabs["rita"].context.cookies()}
    with httpx.Client(base_url=page.url, cookies=cookies, timeout=60) as client:
        assert client.get(f"api/kernels/{operators}").status_code == 404
        assert client.post(f"voila/api/shutdown/{operators}").status_code == 404
        assert client.get(f"api/kernels/{kernel_id(tabs['rita'])}").status_code == 200
    assert page.kernel_of("otto").is_running()


def check_operator_approves_nothing(page: ConsolePage, tab: Page, world: World) -> None:
    before = everything(world)
    with Intruder(page, tab) as intruder:
        buttons = intruder.buttons()
        for name in ("Approve 1.40 USD", "Change limits"):
            intruder.press(buttons[name])
        expect(tab.locator(".ga-panel")).to_contain_text("otto may not do this: it takes the role approve")
    assert everything(world) == before


def check_narrow(tab: Page, pictures: Pictures) -> None:
    """On a phone nothing is wider than the screen, and the phases are those that are drawn for it."""
    for width in (400, 900, 1440):
        tab.set_viewport_size({"width": width, "height": 1900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(INSIDE)
        shown = tab.get_by_role("img", name="Phase APPROVAL: a user approves")
        expect(shown).to_have_count(1)
        assert shown.get_attribute("class") == ("narrow" if width == 400 else "phases")
        assert {"Runs", "Jobs", "Candidates of the decision", "Approve 1.40 USD"} <= check_screen(tab)
        pictures.take(tab, f"page-{width}")


def check_approver(page: ConsolePage, tab: Page, world: World, run_id: str) -> None:
    """The decision is recorded under the login's name, whatever the field says; the process signs nothing."""
    name = tab.get_by_label("Your name", exact=True)
    name.evaluate("input => input.disabled = false")
    name.fill("mallory")
    tab.get_by_role("button", name="Approve 1.40 USD", exact=True).click()
    expect(tab.locator(".ga-panel")).to_contain_text("Approved 1.40 USD: it is signed at the next tick")
    (job,) = world.jobs()
    assert job["approval"]["by"] == "ada"
    before = everything(world)
    with Intruder(page, tab) as intruder:
        buttons = intruder.buttons()
        for press in ("Tick", "Step", "Auto", "Launch", "Change limits", "Halt all payments"):
            intruder.press(buttons[press])
        intruder.buttons()
    assert everything(world) == before
    assert world.payments(world.store.load(run_id)) == []


def check_ended(page: ConsolePage, tab: Page) -> None:
    """A page that comes back into sight after its process has ended says so, and takes no more clicks."""
    assert tab.evaluate(SEEN_AGAIN) == ""
    page.kernel_of("rita").kill()
    tab.wait_for_function(SEEN_AGAIN, polling=500, timeout=SLOW_MS)
    expect(tab.get_by_role("alert").first).to_contain_text("The process of this page has ended")
    expect(tab.get_by_role("button", name="Load the page again")).to_be_visible()
    expect(tab.locator(".ga-panel")).to_have_attribute("inert", "")


def everything(world: World) -> dict[str, list[Any]]:
    """All that is in the database, but for what a database writes by itself."""
    database = world.store.connection.database
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}
