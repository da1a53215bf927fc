"""Quotes: what they promise, for whom, for how long, and why none is given."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from seller.home import DRAIN
from seller.shop import DISK_FULL, Terms
from tests.support.fake_runner import FakeRunner
from tests.support.fake_till import payment_header
from tests.support.mock_buyer import new_key
from tests.support.seller_desk import A100, SIGNER, T4, Desk, open_desk, order

DEARER = replace(A100, price_per_hour=Decimal("9.00"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path, runner=FakeRunner(refuses=frozenset({"evil:1"}))) as desk:
        yield desk


def test_a_quote_can_be_shown_to_be_the_sellers(desk: Desk) -> None:
    """EIP-191 over the compact, sorted JSON of all else in it."""
    body = desk.quote(maxHours=0.5).json()
    assert body["priceEstimate"] == 0.7
    unsigned = {name: value for name, value in body.items() if name not in ("signer", "signature")}
    text = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    recovered = Account.recover_message(encode_defunct(text=text), signature=body["signature"])
    assert recovered == body["signer"] == SIGNER.address
    cheaper = text.replace("0.7", "0.1")
    assert Account.recover_message(encode_defunct(text=cheaper), signature=body["signature"]) != SIGNER.address


def test_without_a_key_quotes_are_not_signed(tmp_path: Path) -> None:
    with open_desk(tmp_path, signer=None) as desk:
        assert not {"signer", "signature"} & set(desk.quote().json())
        assert "signer" not in desk.http.get("/.well-known/x402").json()["gpuagent"]


def test_a_price_freezes_at_the_quote(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        quote = desk.quote().json()["vendorJobTemplateId"]
        direct = desk.submit(order("direct")).json()["accepts"][0]
    with open_desk(tmp_path, offers=(DEARER,)) as desk:
        challenge = desk.submit(order(), vendorJobTemplateId=quote)
        assert challenge.json()["accepts"][0]["amount"] == "1400000", "what was quoted is what is asked for"
        assert desk.submit(order("direct")).json()["accepts"] == [direct]
        paid = desk.submit(order(), payment_header(challenge.json()), new_key(), vendorJobTemplateId=quote)
        assert paid.status_code == 200
        [sale] = desk.shop.database.sales()
        assert sale["amount"] == 1_400_000
        assert desk.quote().json()["priceEstimate"] == 9.0
        assert desk.submit(order("another")).json()["accepts"][0]["amount"] == "9000000"


def test_the_same_order_is_the_same_quote_until_it_expires(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        first, again, other = (desk.submit(order(command)).json() for command in ("a", "a", "b"))
        header = payment_header(first)
        assert first == again
        assert first["accepts"] == other["accepts"], "another order of the same price"
        clock = desk.clock
    clock.at += 601
    with open_desk(tmp_path, offers=(DEARER,), clock=clock) as desk:
        late = desk.submit(order("a"), header)
        assert late.status_code == 402
        assert late.json()["accepts"][0]["amount"] == "9000000", "what expired is not sold, but offered anew"
        assert desk.till.asked == []
        assert desk.submit(order("a"), payment_header(late.json())).status_code == 200
        assert [authorization.amount for authorization in desk.till.asked] == [9_000_000]


def test_a_quote_is_for_its_own_order(desk: Desk) -> None:
    quote = desk.quote("mine").json()["vendorJobTemplateId"]
    for params in (order("yours"), order("mine", gpu="T4"), order("mine", hours=2), {}):
        answer = desk.submit(params, vendorJobTemplateId=quote)
        assert (answer.status_code, answer.json()["error"]) == (409, "order_differs")
    challenge = desk.submit(order("mine"), vendorJobTemplateId=quote)
    assert challenge.status_code == 402
    answer = desk.submit(order("yours"), payment_header(challenge.json()), new_key(), vendorJobTemplateId=quote)
    assert (answer.status_code, desk.till.asked) == (409, [])


def test_an_expired_quote_is_not_sold(desk: Desk) -> None:
    quote = desk.quote().json()["vendorJobTemplateId"]
    header = payment_header(desk.submit(order(), vendorJobTemplateId=quote).json())
    desk.clock.at += 600
    answer = desk.submit(order(), header, new_key(), vendorJobTemplateId=quote)
    assert (answer.status_code, answer.json()["error"], desk.till.asked) == (410, "quote_expired", [])
    assert desk.submit(order(), vendorJobTemplateId="order-1").json()["error"] == "quote_unknown"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"gpuType": "H100"}, 422, "gpu_not_supported"),
        ({"maxHours": 24.5}, 422, "too_long"),
        ({"maxHours": 0}, 422, "request_invalid"),
        ({"workload": None}, 422, "workload_missing"),
        ({"workload": {}}, 422, "workload_invalid"),
        ({"workload": {"command": []}}, 422, "workload_invalid"),
        ({"workload": {"command": "true", "image": "evil:1"}}, 422, "image_not_offered"),
        (
            {"workload": {"command": "true", "inputs": [{"path": "a", "sha256": "a" * 64, "url": "http://x"}]}},
            422,
            "url_not_offered",
        ),
    ],
)
def test_what_is_not_offered_is_refused_before_any_payment(
    desk: Desk, change: dict[str, Any], status: int, code: str
) -> None:
    answer = desk.quote(**change)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    direct = desk.submit(order() | change)
    assert (direct.status_code, direct.json()["error"]) == (status, code)


def test_nothing_is_quoted_where_nothing_is_sold(desk: Desk) -> None:
    (desk.folder / DRAIN).touch()
    assert_refused(desk, "closing")
    (desk.folder / DRAIN).unlink()
    desk.shop.closing.shut[0] = DISK_FULL
    assert_refused(desk, "closing")
    desk.shop.closing.shut[0] = 0
    assert desk.quote().status_code == 200


def test_nothing_is_quoted_where_every_slot_and_place_is_taken(desk: Desk) -> None:
    jobs = [desk.bought(str(number)) for number in range(2)]  # one A100, and a queue of one
    assert_refused(desk, "busy")
    assert desk.quote(gpuType=T4.gpu).status_code == 200, "another kind of GPU is another matter"
    desk.step()
    desk.runner.finish(jobs[0])
    desk.step()
    assert desk.quote().status_code == 200


def test_any_number_waits_where_no_bound_is_set(tmp_path: Path) -> None:
    with open_desk(tmp_path, terms=Terms()) as desk:
        for number in range(5):
            desk.bought(str(number))
        assert desk.quote(maxHours=1000).status_code == 200


def assert_refused(desk: Desk, code: str) -> None:
    for answer in (desk.quote(), desk.submit(order("new"))):
        assert (answer.status_code, answer.json()["error"]) == (503, code)
        assert int(answer.headers["Retry-After"]) > 0


def test_an_order_of_a_gpu_that_is_offered_no_more(tmp_path: Path) -> None:
    """A quote of before a restart, for what the configuration has no more: nothing is settled for it."""
    with open_desk(tmp_path) as desk:
        challenge = desk.submit(order("a", gpu="T4"))
        header = payment_header(challenge.json())
    with open_desk(tmp_path, offers=(A100,)) as desk:
        answer = desk.submit(order("a", gpu="T4"), header, new_key())
        assert (answer.status_code, answer.json()["error"], desk.till.asked) == (422, "gpu_not_supported", [])


def test_an_empty_order_is_shown_what_an_order_is(desk: Desk) -> None:
    """Lists that know a resource by its URL alone ask it so: the 402 has an example, whose price it asks for."""
    challenge = desk.submit({})
    assert challenge.status_code == 402
    example = challenge.json()["extensions"]["bazaar"]["info"]["input"]["body"]
    assert desk.http.post("/submit-job", json=example).json()["accepts"] == challenge.json()["accepts"]
    bought = desk.submit({}, payment_header(challenge.json()))
    assert (bought.status_code, desk.till.asked) == (422, []), "and it is not sold to whom pays that"


def test_a_seller_behind_a_proxy_names_its_public_address(tmp_path: Path) -> None:
    with open_desk(tmp_path, url="https://gpu.example/box") as desk:
        document = desk.http.get("/.well-known/x402").json()
        assert document["resources"] == ["https://gpu.example/box/submit-job"]
        assert [gpu["pricePerHour"] for gpu in document["gpuagent"]["gpus"]] == ["1.400000", "0.350000"]
        assert document["gpuagent"]["accepts"] == ["workload", "files", "checkpoint", "cancel"]
        assert document["gpuagent"]["bearer"] is False
    with open_desk(tmp_path) as desk:
        assert desk.http.get("/.well-known/x402").json()["resources"] == ["http://seller.example/submit-job"]


@pytest.mark.parametrize("extra", ['{"z": NaN}', '{"z": "\\ud800"}', '{"\\ud800": 1}', '{"maxHours": 1e400}'])
def test_an_order_that_is_no_json_is_refused_in_words(desk: Desk, extra: str) -> None:
    params = json.dumps(order("true")).removesuffix("}") + ", " + extra.removeprefix("{")
    body = f'{{"jobParams": {params}}}'
    answer = desk.http.post("/submit-job", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (422, "request_invalid")


def test_hours_that_no_number_holds_are_not_the_quoted_ones(desk: Desk) -> None:
    quote_id = desk.quote("true").json()["vendorJobTemplateId"]
    params = json.dumps({**order("true"), "maxHours": 0}).replace('"maxHours": 0', '"maxHours": 1' + "0" * 400)
    body = json.dumps({"vendorJobTemplateId": quote_id, "jobParams": {}}).replace("{}", params)
    answer = desk.http.post("/submit-job", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (409, "order_differs")
