"""Quote, 402, payment, job: what the contract promises, and how a request is refused."""

import base64
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest
from eth_account import Account
from x402.extensions.payment_identifier import declare_payment_identifier_extension
from x402.schemas import PaymentRequired

from mock_vendor.chain import mint, rpc
from seller.payments.payment import IDENTIFIER_DECLARATION
from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, header_json, new_key


def test_a_job_is_quoted_paid_and_done(buyer: Buyer) -> None:
    quote = buyer.quote(hours=0.5).json()
    assert quote["priceEstimate"] == 0.7
    assert (quote["currency"], quote["etaMinutes"]) == ("USDC", 30)
    assert quote["payTo"] == buyer.ready["vendors"][0]["payTo"]
    before = len(buyer.transfers(quote["payTo"]))

    key = new_key()
    challenge = buyer.submit(quote["vendorJobTemplateId"], key)
    assert challenge.status_code == 402
    assert challenge.json() == header_json(challenge.headers["PAYMENT-REQUIRED"])
    [offer] = challenge.json()["accepts"]
    assert offer == {
        "scheme": "exact",
        "network": quote["network"],
        "asset": quote["asset"],
        "amount": "700000",
        "payTo": quote["payTo"],
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USD Coin", "version": "2"},
    }

    buyer.control("POST", "clock", {"freeze": True})
    paid = buyer.submit(quote["vendorJobTemplateId"], key, buyer.payment_for(challenge))
    assert paid.status_code == 200
    receipt = header_json(paid.headers["PAYMENT-RESPONSE"])
    transfers = buyer.transfers(quote["payTo"])[before:]
    assert [(log.args.amount, log.transactionHash.to_0x_hex()) for log in transfers] == [
        (700000, receipt["transaction"])
    ]

    job_id = paid.json()["vendorJobId"]
    assert buyer.status(job_id).json()["progress"] == 0
    buyer.control("POST", "clock", {"advanceS": 0.75})
    halfway = buyer.status(job_id).json()
    assert halfway["status"] == "running"
    assert halfway["progress"] == pytest.approx(0.5, abs=0.001)
    buyer.control("POST", "clock", {"advanceS": 0.76})
    finished = buyer.http.get("/job-status", params={"idempotencyKey": key}).json()
    assert finished["vendorJobId"] == job_id
    assert (finished["status"], finished["progress"], finished["costSoFar"]) == ("completed", 1, 0.7)
    assert finished["artifactUrl"].endswith(f"{job_id}/model.safetensors")
    assert finished["logs"][: len(halfway["logs"])] == halfway["logs"]


@pytest.mark.parametrize(
    ("gpu", "hours", "price"),
    [("A100", 1, "1.4"), ("A100", 3, "4.2"), ("H100", 0.1, "0.308"), ("T4", 0.000003, "0.000001")],
)
def test_prices_are_exact(buyer: Buyer, gpu: str, hours: float, price: str) -> None:
    answer = buyer.quote(gpu, hours)
    assert f'"priceEstimate": {float(price)!r},' in answer.text
    offer = buyer.submit(answer.json()["vendorJobTemplateId"], new_key()).json()["accepts"][0]
    assert int(offer["amount"]) == Decimal(price) * 1_000_000


def test_vendors_cost_what_the_ready_line_says(ready: dict[str, Any]) -> None:
    for vendor in ready["vendors"]:
        buyer = Buyer(ready, vendor["vendorId"])
        assert buyer.quote().json()["priceEstimate"] == vendor["basePricePerHour"]
        assert buyer.quote().json()["payTo"] == vendor["payTo"]
        buyer.close()


def test_the_same_request_gets_the_same_answer(buyer: Buyer) -> None:
    key, quote_id = new_key(), buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    transfers = len(buyer.transfers())
    first = buyer.submit(quote_id, key, header)
    again = buyer.submit(quote_id, key, header)
    unsigned = buyer.submit(quote_id, key)
    assert first.status_code == 200
    for reply in (again, unsigned):
        assert reply.content == first.content
        assert reply.headers["PAYMENT-RESPONSE"] == first.headers["PAYMENT-RESPONSE"]
    assert len(buyer.transfers()) == transfers + 1


def test_a_paid_quote_stays_good_after_it_expired(buyer: Buyer) -> None:
    key, quote_id = new_key(), buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    first = buyer.submit(quote_id, key, header)
    buyer.control("POST", "clock", {"advanceS": 601})
    assert buyer.submit(quote_id, key, header).content == first.content


def test_a_key_is_good_for_one_request(buyer: Buyer) -> None:
    key, quote_id = new_key(), buyer.quote_id()
    challenge = buyer.submit(quote_id, key)
    header = buyer.payment_for(challenge)
    buyer.submit(quote_id, key, header).raise_for_status()
    transfers = len(buyer.transfers())
    for answer in (
        buyer.submit(quote_id, key, header, params={"epochs": 9}),
        buyer.submit(buyer.quote_id(), key, header),
        buyer.submit(quote_id, key, buyer.payment_for(challenge)),
    ):
        assert (answer.status_code, answer.json()["error"]) == (409, "key_in_use")
    assert len(buyer.transfers()) == transfers


def test_an_authorization_buys_one_job(buyer: Buyer) -> None:
    quote_id, key = buyer.quote_id(), new_key()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    buyer.submit(quote_id, key, header).raise_for_status()
    answer = buyer.submit(quote_id, new_key(), header)
    assert (answer.status_code, answer.json()["error"]) == (409, "authorization_in_use")


def test_ten_identical_requests_settle_once(buyer: Buyer) -> None:
    key, quote_id = new_key(), buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    transfers = len(buyer.transfers())
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: buyer.submit(quote_id, key, header), range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(buyer.transfers()) == transfers + 1
    purchases = [purchase for purchase in buyer.control("GET", "purchases")["purchases"] if purchase["key"] == key]
    assert [purchase["state"] for purchase in purchases] == ["settled"]


def test_one_authorization_under_ten_keys_buys_one_job(buyer: Buyer) -> None:
    quote_id = buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, new_key()))
    transfers = len(buyer.transfers())
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: buyer.submit(quote_id, new_key(), header).status_code, range(10)))
    assert sorted(statuses) == [200] + [409] * 9
    assert len(buyer.transfers()) == transfers + 1


def test_thirty_two_buyers_at_once(buyer: Buyer) -> None:
    transfers = len(buyer.transfers())
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: buyer.buy(), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["vendorJobId"] for answer in answers}) == 32
    assert len(buyer.transfers()) == transfers + 32


def test_a_relayed_transfer_counts_as_payment(buyer: Buyer) -> None:
    """Any account may send the transfer; the vendor finds it on chain instead of saying that it failed."""
    key, quote_id = new_key(), buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    tx = buyer.relay(header)
    paid = buyer.submit(quote_id, key, header)
    assert paid.status_code == 200
    assert header_json(paid.headers["PAYMENT-RESPONSE"])["transaction"] == tx


def test_a_send_that_fails_is_unknown_and_later_ones_go_through(buyer: Buyer) -> None:
    """The SDK's signer would leave a nonce gap behind the failed send, and block every later settlement."""
    chain = buyer.ready["chain"]
    key, quote_id = new_key(), buyer.quote_id()
    header = buyer.payment_for(buyer.submit(quote_id, key))
    wealth = rpc(chain["rpcUrl"], "eth_getBalance", chain["facilitator"], "latest")
    rpc(chain["rpcUrl"], "anvil_setBalance", chain["facilitator"], "0x0")
    broke = buyer.submit(quote_id, key, header)
    rpc(chain["rpcUrl"], "anvil_setBalance", chain["facilitator"], wealth)
    assert (broke.status_code, broke.json()["error"]) == (503, "settlement_pending")
    assert int(broke.headers["Retry-After"]) > 0
    assert buyer.buy().status_code == 200
    assert buyer.submit(quote_id, key, header).status_code == 200


def test_a_price_is_frozen_by_its_quote(buyer: Buyer) -> None:
    quote_id = buyer.quote_id()
    try:
        buyer.control("PUT", "price", {"vendorId": buyer.vendor_id, "basePricePerHour": 9})
        assert buyer.quote().json()["priceEstimate"] == 9
        assert buyer.submit(quote_id, new_key()).json()["accepts"][0]["amount"] == "1400000"
    finally:
        buyer.control("PUT", "price", {"vendorId": buyer.vendor_id, "basePricePerHour": 1.4})


def test_what_is_left_of_a_script_is_shown(buyer: Buyer) -> None:
    buyer.control("PUT", "outcomes", {"vendorId": buyer.vendor_id, "script": "010"})
    assert buyer.control("GET", "outcomes")["scripts"][buyer.vendor_id] == "010"
    buyer.control("DELETE", "outcomes")
    assert buyer.control("GET", "outcomes")["scripts"] == {}


def test_outcomes_follow_the_script(buyer: Buyer) -> None:
    buyer.control("PUT", "outcomes", {"vendorId": buyer.vendor_id, "script": "010"})
    jobs = [buyer.buy().json()["vendorJobId"] for _ in range(4)]
    buyer.control("POST", "clock", {"advanceS": 4})
    states = [buyer.status(job_id).json() for job_id in jobs]
    assert [state["status"] for state in states] == ["failed", "completed", "failed", "completed"]
    assert states[0]["errorMessage"] in " ".join(states[0]["logs"])
    assert states[0]["artifactUrl"] is None
    assert 0 < states[0]["progress"] < 1


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        ({"Authorization": ""}, 401, "unauthorized"),
        ({"x-vendor-id": "gpu_vendor_99"}, 404, "vendor_unknown"),
        ({"x-vendor-id": ""}, 404, "vendor_unknown"),
    ],
)
def test_callers_are_checked(buyer: Buyer, headers: dict[str, str], status: int, error: str) -> None:
    for method, path in (("POST", "/quote"), ("POST", "/submit-job"), ("GET", "/job-status")):
        body = {"jobType": "t", "gpuType": "A100", "maxHours": 1, "vendorJobTemplateId": "q"}
        answer = buyer.http.request(method, path, headers=headers, json=body)
        assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_control_routes_need_the_secret(buyer: Buyer) -> None:
    assert buyer.http.get("/mock/faults", headers={"Authorization": "Bearer no"}).status_code == 401


@pytest.mark.parametrize("key", ["", "short", "x" * 129, "spaces are not in it", "new-line-at-the-end\\n", "é" * 20])
def test_keys_are_strict(buyer: Buyer, key: str) -> None:
    answer = buyer.http.post(
        "/submit-job",
        json={"vendorJobTemplateId": "q"},
        headers={b"Idempotency-Key": key.encode()},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "key_malformed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"jobType": "t", "gpuType": "A100", "maxHours": 0}', 422),
        (b'{"jobType": "t", "gpuType": "A100", "maxHours": -1}', 422),
        (b'{"jobType": "t", "gpuType": "A100", "maxHours": "NaN"}', 422),
        (b'{"jobType": "t", "gpuType": "A100", "maxHours": 1e9}', 422),
        (b'{"jobType": "t", "gpuType": "B200", "maxHours": 1}', 422),
    ],
)
def test_quote_requests_are_checked(buyer: Buyer, body: bytes, status: int) -> None:
    answer = buyer.http.post("/quote", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message"}


def test_an_expired_or_foreign_quote_is_not_sold(buyer: Buyer, ready: dict[str, Any]) -> None:
    quote_id = buyer.quote_id()
    second_buyer = Buyer(ready, "gpu_vendor_2")
    foreign = second_buyer.submit(quote_id, new_key())
    second_buyer.close()
    assert (foreign.status_code, foreign.json()["error"]) == (404, "quote_unknown")
    header = buyer.payment_for(buyer.submit(quote_id, new_key()))
    buyer.control("POST", "clock", {"advanceS": 601})
    for answer in (buyer.submit(quote_id, new_key()), buyer.submit(quote_id, new_key(), header)):
        assert (answer.status_code, answer.json()["error"]) == (410, "quote_expired")


def test_unknown_jobs_and_other_vendors_jobs_are_not_shown(buyer: Buyer, ready: dict[str, Any]) -> None:
    job_id = buyer.buy().json()["vendorJobId"]
    second_buyer = Buyer(ready, "gpu_vendor_2")
    assert second_buyer.status(job_id).status_code == 404
    second_buyer.close()
    assert buyer.status("nothing").status_code == 404
    assert buyer.http.get("/job-status").status_code == 400


def test_malformed_payments_are_400(buyer: Buyer) -> None:
    quote_id = buyer.quote_id()
    good = header_json(buyer.payment_for(buyer.submit(quote_id, new_key())))
    authorization = good["payload"]["authorization"]

    def with_terms(**changes: Any) -> Any:
        return good | {"payload": good["payload"] | {"authorization": authorization | changes}}

    wrong = [
        good | {"x402Version": 1},
        good | {"x402Version": 3},
        good | {"x402Version": True},
        good | {"payload": {}},
        good | {"payload": {"permit2Authorization": {}, "signature": "0x"}},
        good | {"payload": good["payload"] | {"signature": "0x00"}},
        good | {"accepted": {}},
        with_terms(nonce="0x1"),
        with_terms(value="1.0"),
        with_terms(value=1400000),
        with_terms(to="somebody"),
        good | {"extensions": {"payment-identifier": {"info": {"required": False, "id": "bad id"}}}},
        good | {"extensions": {"payment-identifier": {"info": {"required": False, "id": new_key()}}}},
        [],
        "text",
    ]
    headers = [base64.b64encode(json.dumps(content).encode()).decode() for content in wrong]
    headers += ["%%%", base64.b64encode(b"[" * 9_000).decode(), base64.b64encode(b"x" * 13_000).decode()]
    for header in headers:
        answer = buyer.submit(quote_id, new_key(), header)
        assert answer.status_code == 400, header_json(header)


def test_payments_on_other_terms_are_402(buyer: Buyer) -> None:
    quote_id = buyer.quote_id()
    challenge = buyer.submit(quote_id, new_key())
    [offer] = PaymentRequired.model_validate(challenge.json()).accepts
    unfunded = Account.create()
    good = header_json(buyer.sign(offer))
    cheaper = {"authorization": good["payload"]["authorization"] | {"value": "1"}}
    tricked = good | {"payload": good["payload"] | cheaper}
    headers = [
        buyer.sign(offer.model_copy(update={"amount": "1"})),
        buyer.sign(offer.model_copy(update={"pay_to": unfunded.address})),
        buyer.sign(offer, private_key=unfunded.key.to_0x_hex()),
        buyer.sign(offer, valid_before=1),
        base64.b64encode(json.dumps(tricked).encode()).decode(),
    ]
    transfers = len(buyer.transfers())
    for header in headers:
        answer = buyer.submit(quote_id, new_key(), header)
        assert answer.status_code == 402
        assert answer.json()["error"] != "payment required"
        assert answer.json()["accepts"] == challenge.json()["accepts"]
    assert len(buyer.transfers()) == transfers


def test_two_purchases_and_money_for_one(buyer: Buyer) -> None:
    chain, poor = buyer.ready["chain"], Account.create()
    mint(chain["rpcUrl"], chain["asset"], poor.address, 1_400_000)
    quote_id = buyer.quote_id()
    challenge = buyer.submit(quote_id, new_key())
    headers = [buyer.payment_for(challenge, private_key=poor.key.to_0x_hex()) for _ in range(2)]
    keys = [new_key(), new_key()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: buyer.submit(quote_id, *pair), zip(keys, headers, strict=True)))
    again = [buyer.submit(quote_id, *pair).status_code for pair in zip(keys, headers, strict=True)]
    # The other is refused where it is verified after the first was settled. Else only the chain says that it is never
    # paid, and that at the end of its authorization.
    assert sorted(again) in ([200, 402], [200, 503])


def test_a_payment_identifier_that_is_the_key_is_taken(buyer: Buyer) -> None:
    key, quote_id = new_key(), buyer.quote_id()
    challenge = buyer.submit(quote_id, key)
    declared = challenge.json()["extensions"]["payment-identifier"]
    assert declared == declare_payment_identifier_extension(required=False) == IDENTIFIER_DECLARATION
    filled = declared | {"info": {"required": False, "id": key}}
    header = buyer.payment_for(challenge, extensions={"payment-identifier": filled})
    assert buyer.submit(quote_id, key, header).status_code == 200


def test_the_contract_is_the_openapi(buyer: Buyer) -> None:
    contract = buyer.http.get("/openapi.json").json()
    work = {"/job-input", "/job-file", "/job-cancel"}
    assert set(contract["paths"]) == {"/quote", "/submit-job", "/job-status", "/healthz", "/.well-known/x402", *work}
    answers = contract["paths"]["/submit-job"]["post"]["responses"]
    assert set(answers) == {"200", "400", "401", "402", "403", "404", "409", "410", "413", "422", "429", "503"}
    quote = contract["components"]["schemas"]["QuoteAnswer"]
    assert {"vendorJobTemplateId", "priceEstimate", "expiresAt", "payTo"} <= set(quote["properties"])
    assert buyer.http.get("/healthz").json() == {"status": "ok"}


def test_a_job_advances_by_the_clock_alone(buyer: Buyer) -> None:
    job_id = buyer.buy(hours=0.05).json()["vendorJobId"]
    eventually(lambda: buyer.status(job_id).json()["status"] == "completed")


def test_deeply_nested_bodies_never_break_the_server(buyer: Buyer) -> None:
    body = b'{"jobMetadata": ' + b"[" * 500_000
    answer = buyer.http.post("/quote", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert buyer.quote().status_code == 200


def test_random_headers_never_break_the_server(buyer: Buyer) -> None:
    quote_id = buyer.quote_id()
    for size in (1, 10, 100, 1000):
        answer: httpx.Response = buyer.submit(quote_id, new_key(), secrets.token_urlsafe(size))
        assert answer.status_code == 400
