"""The page of a message's link, attacked: it approves just one purchase, at one amount and quote, once, in time."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape

import httpx
import pytest

from gpuagent.agent.start import Order, start
from gpuagent.alerts.delivery import LinkSettings, read_links
from gpuagent.alerts.links import link_to, read_token, token_for
from gpuagent.api.approval_page import waiting_purchase
from gpuagent.core.alerts import Purchase, fingerprint, purchase_of
from gpuagent.core.model import Approval, Reserved, Run
from gpuagent.core.policy import Halt
from gpuagent.errors import BadInput
from tests.conftest import SafetyNote
from tests.support.alerts import LINKS, SECRET
from tests.support.factories import RUN, quote
from tests.support.rest_server import Served, serving
from tests.support.world import World

SETTINGS = LinkSettings("https://agent.example", SECRET, {"ops": "Ada Lovelace"})


@pytest.fixture
def linked(world: World) -> Iterator[Served]:
    with serving(world, LINKS) as running:
        yield running


def asking(world: World) -> tuple[Run, Purchase]:
    """A run that waits for approval, and the purchase that its message is about."""
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start())
    (job,) = run.jobs
    assert isinstance(job, Reserved)
    return run, purchase_of(run.run_id, job)


def token(purchase: Purchase, channel: str = "ops", secret: str = SECRET) -> str:
    return token_for(purchase, channel, replace(SETTINGS, secret=secret))


def post(linked: Served, value: str, answer: str = "approve", **headers: str) -> httpx.Response:
    return linked.http.post("/approval", data={"t": value, "answer": answer}, headers=headers)


def approvers(world: World, run: Run) -> list[str]:
    return [job.approval.by for job in world.store.load(run.run_id).jobs if isinstance(job, Reserved) and job.approval]


@pytest.mark.safety("an approval by the link of a message: looked at, answered, replayed")
def test_a_link_shows_what_is_approved_and_approves_it_once(
    linked: Served, world: World, safety_note: SafetyNote
) -> None:
    run, purchase = asking(world)
    (alert,) = [row for row in world.database.outbox.newest(9) if row["kind"] == "approval"]
    assert alert["_id"] == f"approval:{run.run_id}:{purchase.job_id}:{purchase.quote}"
    before = world.store.load(run.run_id)
    for method in ("GET", "HEAD", "GET"):  # a mail scanner, and a browser that reads ahead
        page = linked.http.request(method, "/approval", params={"t": token(purchase)})
        assert page.status_code == 200
    assert world.store.load(run.run_id) == before
    text = unescape(page.text)
    for words in (run.run_id, run.goal, "1.40 USD", purchase_payee(before), "when the quote ends", "version ", "Ada"):
        assert words in text, words
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in page.text
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "same-origin")
    form = re.search(r'name="t" value="([^"]+)"', page.text)
    assert form
    done = post(linked, form[1])
    assert (done.status_code, "Approved 1.40 USD" in done.text) == (200, True)
    assert approvers(world, run) == ["Ada Lovelace (by the link to ops)"]
    approved = world.store.load(run.run_id)
    for answer in ("approve", "reject"):
        again = post(linked, form[1], answer)
        assert (again.status_code, "This link is spent" in again.text) == (409, True)
    assert "This link is spent" in linked.http.get("/approval", params={"t": form[1]}).text
    assert world.store.load(run.run_id) == approved
    world.finish(run)
    world.assert_balanced(run, transfers=1)
    assert "This link is spent" in post(linked, form[1]).text
    safety_note("3 looks changed nothing; one approval, 4 replays without effect, 1 transfer")


def test_enter_in_the_reason_of_a_rejection_does_not_approve(linked: Served, world: World) -> None:
    """A browser takes Enter in a field for a press of the first button of the field's form."""
    _, purchase = asking(world)
    page = linked.http.get("/approval", params={"t": token(purchase)}).text
    forms = [form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'name="why"' in form]
    assert [re.findall(r'<button[^>]* value="(\w+)"', form) for form in forms] == [["reject"]]


def test_a_goal_on_the_page_pretends_to_be_nothing_else(linked: Served, world: World) -> None:
    world.allow(approval_above=1_000_000)
    order = Order(goal="Tune (of the owner)\u202e\u2066\n" + "g" * 1_900, budget=5_000_000)
    run = world.tick(start(order, world.ports))
    job = run.jobs[0]
    assert isinstance(job, Reserved)
    page = linked.http.get("/approval", params={"t": token(purchase_of(run.run_id, job))})
    rows = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", page.text))
    assert rows["Run"] == f"{run.run_id}, of {run.user_id}"
    assert rows["Goal"].startswith("Tune (of the owner)   g"), "nothing turns the direction of text"
    assert len(rows["Goal"]) <= 500


def test_answers_that_come_at_once_are_one_answer(linked: Served, world: World) -> None:
    """Two clicks, and two approvers who differ: one of them answers, the others are told."""
    run, purchase = asking(world)
    with ThreadPoolExecutor(4) as pool:
        answers = ["approve", "reject"] * 2
        replies = list(pool.map(lambda answer: post(linked, token(purchase), answer), answers))
    assert sorted(reply.status_code for reply in replies) == [200, 409, 409, 409]
    approved = answers[[reply.status_code for reply in replies].index(200)] == "approve"
    (job,) = world.store.load(run.run_id).jobs
    assert isinstance(job, Reserved) is approved


def purchase_payee(run: Run) -> str:
    return run.jobs[0].quote.pay_to


@pytest.mark.safety("links of messages that are forged, altered, of other runs and amounts, revoked, or foreign pages'")
def test_no_other_link_and_no_other_page_has_an_effect(linked: Served, world: World, safety_note: SafetyNote) -> None:
    run, purchase = asking(world)
    other, _ = asking(world)
    genuine = token(purchase)
    payload, signature = genuine.split(".")
    assert read_token(genuine, SETTINGS) == (purchase, "ops")
    refused = {
        "": "not valid",
        "x": "not valid",
        "x" * 5_000: "not valid",
        f"{payload}.": "not valid",
        f"{payload}.{signature[:-1]}": "not valid",
        f"{payload}.{'A' * len(signature)}": "not valid",
        f"{payload}=.{signature}": "not valid",
        token(replace(purchase, amount=1)).split(".")[0] + f".{signature}": "not valid",
        token(replace(purchase, run_id=other.run_id)).split(".")[0] + f".{signature}": "not valid",
        token(purchase, secret="t" * 40): "not valid",
        token(purchase, "chat"): "may not approve any more",
        token(replace(purchase, run_id="f" * 24)): "its run is gone",
        "\u00e4.\u00e4": "not valid",
    }
    changed = {
        token(replace(purchase, run_id=other.run_id)): "not the one that the message was about",
        token(replace(purchase, amount=purchase.amount + 1)): "not the one that the message was about",
        token(replace(purchase, quote="0" * 32)): "not the one that the message was about",
        token(replace(purchase, job_id="f" * 24)): "not the one that the message was about",
        token(replace(purchase, expires_at=1.0)): "has expired",
    }
    before = world.store.load(run.run_id), world.store.load(other.run_id)
    for value, words in refused.items():
        reply = post(linked, value)
        assert (reply.status_code, words in reply.text) == (403, True), (value, reply.text)
        assert linked.http.get("/approval", params={"t": value}).status_code == 403
    for value, words in changed.items():
        reply = post(linked, value)
        assert (reply.status_code, words in reply.text) == (409, True), (value, reply.text)
    pages = (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    )
    for headers in pages:
        reply = post(linked, genuine, **headers)
        assert (reply.status_code, "did not come from the page" in reply.text) == (403, True)
    assert post(linked, genuine, "anything").status_code == 403
    assert linked.http.post("/approval", params={"t": genuine, "answer": "approve"}).status_code == 403
    assert linked.http.post("/approval", json={"t": genuine, "answer": "approve"}).status_code == 403
    assert (world.store.load(run.run_id), world.store.load(other.run_id)) == before
    own = {"Origin": "https://agent.example", "Sec-Fetch-Site": "same-origin"}
    assert post(linked, genuine, **own).status_code == 200
    assert approvers(world, other) == [""]
    safety_note(f"{len(refused) + len(changed) + len(pages) + 3} attempts, none with an effect; then the genuine one")


def test_a_rejection_by_link_and_a_request_that_expires(linked: Served, world: World) -> None:
    run, purchase = asking(world)
    reply = linked.http.post("/approval", data={"t": token(purchase), "answer": "reject", "why": "too <b>dear</b>\n"})
    assert reply.status_code == 200
    assert "too &lt;b&gt;dear&lt;/b&gt;" in reply.text
    (job,) = world.store.load(run.run_id).jobs
    assert getattr(job, "reason", "") == "rejected by Ada Lovelace (by the link to ops): too <b>dear</b>"
    assert "This link is spent: the purchase was answered" in post(linked, token(purchase)).text
    late, purchase = asking(world)
    world.market.pass_time(3600)
    assert "has expired" in post(linked, token(purchase)).text
    assert approvers(world, late) == [""]


def test_a_halt_holds_whatever_a_link_approves(linked: Served, world: World) -> None:
    run, purchase = asking(world)
    world.allow(halts=(Halt("wallet", "*", "Grace", "fire"),))
    page = linked.http.get("/approval", params={"t": token(purchase)})
    assert "Grace halted all wallets: fire. Nothing is signed until that is resumed." in page.text
    assert post(linked, token(purchase)).status_code == 200
    with pytest.raises(Exception, match="halted"):
        world.tick(run)
    assert world.payments(run) == []


def test_no_token_is_logged_and_without_a_secret_there_is_no_page(
    linked: Served, world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, purchase = asking(world)
    monkeypatch.setattr("gpuagent.api.routes.approval.approval_page.waiting_purchase", None)  # a bug of ours
    with caplog.at_level(logging.DEBUG):
        url, value = f"{linked.url}/approval", token(purchase)  # after a bug the server closes the connection
        assert httpx.get(url, params={"t": value}, timeout=60).json()["code"] == "bug"
        assert httpx.post(url, data={"t": value, "answer": "approve"}, timeout=60).json()["code"] == "bug"
    server_log = "".join(
        record.getMessage() + (str(record.exc_text) or "")
        for record in caplog.records
        if not record.name.startswith(("httpx", "httpcore"))  # of the test's own client
    )
    assert "bug" in server_log
    assert token(purchase)[:60] not in server_log
    monkeypatch.undo()
    with serving(world) as without:
        assert without.http.get("/approval", params={"t": token(purchase)}).status_code == 403
        assert "takes no answers by a link" in post(without, token(purchase)).text


def test_links_lead_to_the_page_and_tokens_have_one_spelling() -> None:
    links = read_links({**LINKS, "ALERTS_LINK_URL": "https://agent.example/base/"})
    assert links is not None
    purchase = Purchase("1" * 24, "2" * 24, 1_400_000, "3" * 32, 900.5)
    url = link_to(purchase, "ops", links)
    assert url.startswith("https://agent.example/base/approval?t=")
    assert read_token(url.partition("t=")[2], links) == (purchase, "ops")
    for altered in (url.partition("t=")[2] + "=", url.partition("t=")[2] + "\n", "." * 3):
        with pytest.raises(BadInput):
            read_token(altered, links)


def test_what_a_request_has_become_is_said() -> None:
    job = Reserved("one", quote(), 1.0, Approval(1.0, 900.0))
    run = replace(RUN, jobs=(job,))
    purchase = purchase_of(run.run_id, job)
    assert waiting_purchase(purchase, run, 899.9) == (job, "")
    assert "expired" in waiting_purchase(purchase, run, 900.0)[1]
    dearer = replace(job, quote=quote(1_500_000))
    assert "not the one" in waiting_purchase(purchase, replace(run, jobs=(dearer,)), 2.0)[1]
    assert purchase.quote == fingerprint(quote())
