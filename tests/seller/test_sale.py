"""The sale of a seller with bounds: places, payers, keys, and payments that others have touched. Without a chain."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from seller.home import DRAIN
from seller.payments.settlement import Dead, Paid
from seller.payments.till import Unknown
from seller.sale import NONCE_KEY
from seller.shop import Terms
from tests.support.fake_till import TX, FakeTill, payment_header
from tests.support.mock_buyer import header_json, new_key
from tests.support.seller_desk import ALICE, BOB, Desk, open_desk, order

NONCE = "0x" + "0c" * 32


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as desk:
        yield desk


def signed(desk: Desk, command: str = "true", payer: str = BOB, nonce: str = "", **fields: Any) -> str:
    """A payment of an order."""
    return payment_header(desk.submit(order(command, **fields)).json(), payer, nonce)


class GatheredTill(FakeTill):
    """Lets a payment go on only once so many have been verified: all of them race for what comes next."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(count, timeout=60)

    def objection(self, payment: Any, offer: Any) -> str | None:
        self._barrier.wait()
        return super().objection(payment, offer)


@pytest.mark.safety("Of payers who race for the last place of a seller, one buys; nothing is settled for the others")
def test_one_of_those_who_race_for_the_last_place_buys(tmp_path: Path, safety_note: Any) -> None:
    racers = 4
    with open_desk(tmp_path, till=GatheredTill(racers), terms=Terms(queue=0)) as desk:
        headers = [signed(desk, str(n), payer=f"0x{n:040x}") for n in range(1, racers + 1)]

        def buy(number: int) -> httpx.Response:
            return desk.submit(order(str(number + 1)), headers[number], new_key())

        with ThreadPoolExecutor(racers) as pool:
            answers = list(pool.map(buy, range(racers)))
        assert sorted(answer.status_code for answer in answers) == [200] + [503] * (racers - 1)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {(answer.json()["error"], answer.headers["Retry-After"]) for answer in refused} == {("busy", "60")}
        assert len(desk.till.asked) == 1, "those who were refused kept their money"
        assert desk.shop.database.totals() == (1, 1_400_000, 0)
    safety_note(f"{racers} raced, 1 settled, {racers - 1} refused before their settlement")


def test_a_payer_has_so_many_jobs_at_once(tmp_path: Path) -> None:
    with open_desk(tmp_path, terms=Terms(queue=9, per_payer=2)) as desk:
        first = desk.bought("1", payer=ALICE)
        desk.bought("2", payer=ALICE)
        settled = len(desk.till.asked)
        answer = desk.buy("3", payer=ALICE)
        assert (answer.status_code, answer.json()["error"]) == (503, "busy")
        assert "2 jobs here that wait or run" in answer.json()["message"]
        assert len(desk.till.asked) == settled, "nothing was settled for it"
        upper = desk.buy("3", payer=ALICE.upper().replace("0X", "0x"))
        assert upper.status_code == 503, "an address is the same in capital letters"
        desk.bought("3", payer=BOB)
        desk.step()
        desk.runner.finish(first)
        desk.step()
        desk.bought("4", payer=ALICE)


def test_a_payment_that_is_settling_takes_a_place(tmp_path: Path) -> None:
    with open_desk(tmp_path, till=FakeTill(outcome=Unknown("slow")), terms=Terms(queue=0)) as desk:
        assert desk.buy("1", payer=ALICE).status_code == 503
        answer = desk.buy("1", payer=BOB)
        assert (answer.status_code, answer.json()["error"]) == (503, "busy")
        assert len(desk.till.asked) == 1


def test_only_payers_of_the_list_buy(tmp_path: Path) -> None:
    with open_desk(tmp_path, terms=Terms(payers=frozenset({ALICE}))) as desk:
        answer = desk.buy("1", payer=BOB)
        assert (answer.status_code, answer.json()["error"]) == (403, "payer_unknown")
        assert (desk.till.asked, desk.shop.database.purchases()) == ([], [])
        assert desk.buy("1", payer=ALICE).status_code == 200


def test_without_a_key_each_payment_buys_one_job(desk: Desk) -> None:
    header = signed(desk, nonce=NONCE)
    first, again = desk.submit(order(), header), desk.submit(order(), header)
    assert (first.status_code, first.content) == (200, again.content)
    assert first.headers["PAYMENT-RESPONSE"] == again.headers["PAYMENT-RESPONSE"]
    assert len(desk.till.asked) == 1
    another = desk.submit(order(), signed(desk))
    assert another.json()["vendorJobId"] != first.json()["vendorJobId"]
    differing = desk.submit(order("another"), header)
    assert (differing.status_code, differing.json()["error"]) == (409, "key_in_use")


def test_a_nonce_that_another_payer_has_used_buys_all_the_same(desk: Desk) -> None:
    """Nonces are a payer's own: whoever sees one on its way cannot keep its owner from buying."""
    mallory = desk.submit(order("1"), signed(desk, "1", payer=ALICE, nonce=NONCE))
    victim = desk.submit(order("2"), signed(desk, "2", payer=BOB, nonce=NONCE))
    assert (mallory.status_code, victim.status_code) == (200, 200)
    assert mallory.json()["vendorJobId"] != victim.json()["vendorJobId"]


def test_a_nonce_is_no_key_to_a_job(desk: Desk) -> None:
    """It is public once it is on chain: nobody finds the job of it, by itself or as the seller keeps it."""
    desk.submit(order(), signed(desk, nonce=NONCE)).raise_for_status()
    [purchase] = desk.shop.database.purchases()
    assert purchase.key.startswith(NONCE_KEY)
    for key in (NONCE, NONCE_KEY + NONCE, purchase.key, NONCE[2:]):
        answer = desk.http.get("/job-status", params={"idempotencyKey": key})
        assert (answer.status_code, answer.json()["error"]) == (404, "job_unknown")
        answer = desk.submit(order(), key=key)
        assert answer.status_code in (400, 402), "and it is no Idempotency-Key of a buyer's"


def test_the_id_of_a_job_follows_from_nothing_public(tmp_path: Path) -> None:
    ids = set()
    for salt in ("", "one", "other"):
        folder = tmp_path / f"salt-{salt}"
        folder.mkdir()
        with open_desk(folder, salt=salt) as desk:
            ids.add(desk.submit(order(), signed(desk, nonce=NONCE)).json()["vendorJobId"])
            [purchase] = desk.shop.database.purchases()
            guess = hashlib.sha256(f"box {purchase.key}".encode()).hexdigest()[:20]
            job = desk.http.get("/job-status", params={"vendorJobId": f"box-{guess}"})
            assert (job.status_code == 404) == bool(salt)
    assert len(ids) == 3


@pytest.mark.safety("A payment that was sent before buys the same job again, or nothing: never a second job")
def test_a_replayed_payment_buys_no_second_job(desk: Desk, safety_note: Any) -> None:
    key, header = new_key(), signed(desk, nonce=NONCE)
    first = desk.submit(order(), header, key)
    again = [desk.submit(order(), header, key) for _ in range(2)]
    assert {answer.content for answer in again} == {first.content}
    for answer in (
        desk.submit(order(), header, new_key()),
        desk.submit(order(), header),
        desk.submit(order("another"), header, new_key()),
        desk.submit(order(), signed(desk, nonce=NONCE), new_key()),
    ):
        assert (answer.status_code, answer.json()["error"]) == (409, "authorization_in_use")
    assert len(desk.till.asked) == 1
    assert [job.job_id for job in desk.shop.database.jobs_with_work()] == [first.json()["vendorJobId"]]
    safety_note("sent 7 times, settled once, 1 job")


def test_a_payment_that_can_never_settle_leaves_nothing(desk: Desk) -> None:
    desk.till.outcome = Dead("authorization expired")
    key, header = new_key(), signed(desk)
    answer = desk.submit(order(), header, key)
    assert (answer.status_code, answer.json()["error"]) == (402, "authorization expired")
    assert desk.shop.database.purchases() == []
    desk.till.outcome = Paid(TX)
    assert desk.submit(order(), signed(desk), key).status_code == 200, "its key is free again"


def test_an_outcome_that_is_unknown_is_decided_by_asking_again(desk: Desk) -> None:
    desk.till.outcome = Unknown("the chain does not answer")
    key, header = new_key(), signed(desk)
    answer = desk.submit(order(), header, key)
    assert (answer.status_code, answer.json()["error"]) == (503, "settlement_pending")
    assert desk.shop.database.totals() == (0, 0, 1)
    desk.till.outcome = Paid(TX)
    paid = desk.submit(order(), header, key)
    assert (paid.status_code, header_json(paid.headers["PAYMENT-RESPONSE"])["transaction"]) == (200, TX)
    assert desk.shop.database.totals() == (1, 1_400_000, 0)


def test_a_payment_on_other_terms_is_asked_again(desk: Desk) -> None:
    challenge = desk.submit(order()).json()
    [offer] = challenge["accepts"]
    for changed in (
        {"payTo": "0x00000000000000000000000000000000000000Ff"},
        {"amount": "1"},
        {"network": "eip155:1"},
        {"asset": "0x" + "9" * 40},
        {"scheme": "upto"},
    ):
        answer = desk.submit(order(), payment_header({"accepts": [offer | changed]}), new_key())
        assert (answer.status_code, answer.json()["error"]) == (402, "the payment does not accept this offer")
    assert desk.till.asked == []


def test_while_it_is_closing_only_what_was_sold_is_answered(desk: Desk) -> None:
    key, header = new_key(), signed(desk)
    late = signed(desk, "late")
    sold = desk.submit(order(), header, key)
    (desk.folder / DRAIN).touch()
    assert desk.submit(order(), header, key).content == sold.content
    answer = desk.submit(order("late"), late, new_key())
    assert (answer.status_code, answer.json()["error"]) == (503, "closing")
    assert len(desk.till.asked) == 1


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_secrets_that_no_environment_holds_are_refused_each_time(desk: Desk, value: str) -> None:
    """Also of an order that is paid: with them it could never be started."""
    key, header = new_key(), signed(desk, secrets=["TOKEN"])
    body = {"jobParams": order(secrets=["TOKEN"]), "secrets": {"TOKEN": value}}
    headers = {"Idempotency-Key": key, "PAYMENT-SIGNATURE": header, "Content-Type": "application/json"}
    before = desk.http.post("/submit-job", content=json.dumps(body), headers=headers)
    assert (before.status_code, before.json()["error"], desk.till.asked) == (422, "secrets_invalid", [])
    good = desk.http.post("/submit-job", json={**body, "secrets": {"TOKEN": "good"}}, headers=headers)
    assert good.status_code == 200
    again = desk.http.post("/submit-job", content=json.dumps(body), headers=headers)
    assert (again.status_code, again.json()["error"]) == (422, "secrets_invalid")
    desk.step()
    assert [order.secrets for order in desk.runner.orders] == [{"TOKEN": "good"}]


def test_what_is_refused_for_want_of_room_is_not_stored(desk: Desk) -> None:
    header = signed(desk, "3")
    for number in (1, 2):
        desk.bought(str(number))
    assert desk.submit(order("3"), header, new_key()).json()["error"] == "busy"
    assert len(desk.shop.database.purchases()) == len(desk.till.asked) == 2


@pytest.mark.safety("An image that went away between price and payment is not paid for")
@pytest.mark.parametrize("how", ["gone", "refuses"])
def test_an_image_that_went_away_after_the_quote(desk: Desk, how: str, safety_note: Any) -> None:
    """By hand, or from the list of a seller that was started again. What is being settled already goes on."""
    work = {"image": "localhost/tool"}
    header, key = signed(desk, **work), new_key()
    setattr(desk.runner, how, frozenset({"localhost/tool"}))
    for answer in (desk.submit(order(**work)), desk.submit(order(**work), header, key)):
        assert (answer.status_code, answer.json()["error"]) == (409, "image_gone")
        assert "localhost/tool" in answer.json()["message"]
    assert desk.till.asked == []
    assert desk.shop.database.purchases() == []
    setattr(desk.runner, how, frozenset())
    desk.till.outcome = Unknown("slow")
    assert desk.submit(order(**work), header, key).status_code == 503
    setattr(desk.runner, how, frozenset({"localhost/tool"}))
    desk.till.outcome = Paid(TX)
    assert desk.submit(order(**work), header, key).status_code == 200, "its money may be gone: it is asked for no more"
    assert desk.quote(**{"workload": {"command": "true", **work}}).status_code == 422
    safety_note("409 image_gone, for the price and for the payment; nothing settled")


@pytest.mark.safety("Whoever knows the SHA-256 of another buyer's input has no job that reads it")
def test_an_input_that_another_buyer_sent(desk: Desk, safety_note: Any) -> None:
    content = b"private"
    sha256 = hashlib.sha256(content).hexdigest()
    work = {"inputs": [{"path": "a", "sha256": sha256, "bytes": len(content)}]}
    owner, thief = {"Idempotency-Key": new_key()}, {"Idempotency-Key": new_key()}
    params = {"sha256": sha256, "size": len(content)}
    assert desk.http.put("/job-input", params=params, content=content).status_code == 422, "for no order"
    assert desk.http.put("/job-input", params=params, content=content, headers=owner).status_code == 200
    known = {"params": {"sha256": sha256}}
    assert desk.http.get("/job-input", headers=owner, **known).json() == {"received": 7, "complete": True}
    assert desk.http.get("/job-input", headers=thief, **known).json() == {"received": 0, "complete": False}
    header = payment_header(desk.submit(order(**work), key=owner["Idempotency-Key"]).json(), ALICE)
    for refused in (
        desk.submit(order(**work)),
        desk.submit(order(**work), key=thief["Idempotency-Key"]),
        desk.submit(order(**work), header, thief["Idempotency-Key"]),
        desk.submit(order(**work), header),
        desk.http.put("/job-input", params=params, content=b"guessed", headers=thief),
        desk.submit(order(**work), header, thief["Idempotency-Key"], inline={sha256: "Z3Vlc3NlZA=="}),
    ):
        assert refused.status_code == 422, refused.text
    assert desk.till.asked == []
    assert desk.http.put("/job-input", params=params, content=content, headers=thief).status_code == 200
    assert desk.submit(order(**work), header, thief["Idempotency-Key"]).status_code == 200, "who sends it has it"
    desk.step()
    (started,) = desk.runner.orders
    assert started.inputs["a"].read_bytes() == content
    safety_note("neither its place nor its presence is known to another order; sent again it is that order's own")
