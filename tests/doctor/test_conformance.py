"""`vendor check` on vendors that depart from the vendor API: what it finds without paying."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Challenge, Quote
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.doctor.conformance import check
from gpuagent.doctor.probe import ConformanceResult
from gpuagent.doctor.work_conformance import OFFERS, PARTS, REPEATS
from gpuagent.errors import VendorError
from gpuagent.wire.bounded_http import BoundedHttp, Reply
from tests.support.factories import TERMS, TOKEN, VENDOR, WIRE_QUOTE, quote
from tests.support.file_vendor import FileVendor, VendorAnswer, VendorRequest

STATES = "names states of a job in words that are known"
JOB = "names the job of a paid order"


class Routes:
    """Answers /openapi.json with one document, and everything else with 404. tokens: what it was sent with each."""

    def __init__(self, contract: Any) -> None:
        self._contract = contract
        self.tokens: dict[str, bool] = {}

    def request(self, method: str, url: str, **options: Any) -> Reply:
        path = url.removeprefix(VENDOR.endpoint)
        self.tokens[path] = "Authorization" in (options.get("headers") or {})
        return Reply(200, {}, json.dumps(self._contract).encode()) if path == "/openapi.json" else Reply(404, {}, b"{}")


class Seller:
    """A VendorApi that quotes, and asks for payment by these answers in turn."""

    def __init__(self, network: str, *challenges: Challenge | VendorError) -> None:
        self._network, self._challenges = network, list(challenges)

    def quote(self, *_: object) -> Quote:
        return quote(network=self._network)

    def challenge(self, *_: object) -> Challenge:
        answer = self._challenges.pop(0)
        if isinstance(answer, VendorError):
            raise answer
        return answer


def results(
    contract: Any, *challenges: Challenge | VendorError, network: str = TOKEN.network
) -> dict[str, ConformanceResult]:
    seller = cast("VendorApi", Seller(network, *challenges or (VendorError("answered 202 to /submit-job: {}"),)))
    routes = Routes(contract)
    findings = check(VENDOR, "A100", seller, cast("BoundedHttp", routes), "secret")
    assert not routes.tokens["/openapi.json"]  # it is public, or not read
    return {finding.check: finding for finding in findings}


def contract(states: list[str], *fields: str) -> dict[str, Any]:
    def answers(schema: Any) -> dict[str, Any]:
        return {"responses": {"201": {"content": {"application/json": {"schema": schema}}}}}

    return {
        "paths": {
            "/job-status": {"get": answers({"properties": {"status": {"enum": states}}})},
            "/submit-job": {"post": answers({"properties": {name: {} for name in fields}})},
        }
    }


def test_published_words_and_names_are_tried() -> None:
    good = results(contract(["queued", "In-Progress", "SUCCEEDED"], "job_id", "token"))
    assert (good[STATES].passed, good[JOB].passed) == (True, True)
    bad = results(contract(["queued", "defragmenting"], "order", "token"))
    assert (bad[STATES].passed, bad[JOB].passed) == (False, False)
    assert bad[STATES].detail == "new words, which count as alive: defragmenting"
    assert "none of vendorJobId" in bad[JOB].detail


@pytest.mark.parametrize("document", [[], "html", {"paths": {}}])
def test_a_vendor_that_publishes_nothing_is_no_worse(document: Any) -> None:
    assert all(
        result.passed for name, result in results(document).items() if "publish" in name or name in (STATES, JOB)
    )


def test_a_vendor_on_a_chain_of_another_kind_is_told_so_in_words() -> None:
    foreign = replace(TERMS, network="solana:mainnet", extra={**TERMS.extra, "chainId": 1})
    finding = results({}, Challenge((foreign,)), network="solana:mainnet")["asks by 402 for exactly what it quoted"]
    assert (finding.passed, finding.detail) == (False, "extra terms or another token name")


def test_an_unpaid_order_is_to_be_answered_by_402_and_twice_alike() -> None:
    again, other = "answers an order twice alike", Challenge((TERMS, TERMS))
    offer = Challenge((TERMS,))
    assert "answered 202" in results({})["asks by 402 for exactly what it quoted"].detail
    assert results({}, offer, offer)[again].passed
    assert not results({}, offer, other)[again].passed
    assert results({}, offer, VendorError("answered 409"))[again].detail == "answered 409"


# Jobs with files.

TOKEN_VARIABLE = {"GPU_VENDOR_SECRET": "secret"}


class ShopVendor(FileVendor):
    """A vendor of the extended API, as far as it can be tried without paying."""

    def respond(self, request: VendorRequest) -> VendorAnswer:
        if request.path == "/submit-job":
            return self._submit(request.json)
        if request.path == "/quote" and request.json["gpuType"] == "no-such-gpu":
            return VendorAnswer(404, {})
        if "Authorization" not in request.headers:
            return VendorAnswer(401, {})
        if request.path == "/quote" and "workload" in request.json:
            self.quoted = request.json["workload"]
        return super().respond(request)

    def _submit(self, order: dict[str, Any]) -> VendorAnswer:
        workload = order["jobParams"].get("workload")
        if workload is None:
            return VendorAnswer(400, {})
        if workload != self.quoted:
            return VendorAnswer(409, {"error": "order_differs"})
        if workload["inputs"][0]["sha256"] not in order.get("inline", {}):
            return VendorAnswer(422, {"error": "input_missing"})
        return VendorAnswer(402, {})


@pytest.fixture(scope="module")
def shop() -> Iterator[ShopVendor]:
    server = ShopVendor()
    yield server
    server.close()


def checked(shop: ShopVendor) -> dict[str, ConformanceResult]:
    """What is found about jobs with files."""
    with closing(HttpVendor(TOKEN_VARIABLE.get)) as vendor_api, closing(BoundedHttp(5)) as http:
        findings = check(shop.vendor, "A100", vendor_api, http, "secret")
    first = next(number for number, finding in enumerate(findings) if finding.check == "refuses a payment that is none")
    return {finding.check: finding for finding in findings[first + 1 :]}


WORK = {
    OFFERS: "workload, files, checkpoint, cancel",
    REPEATS: "the hash of the canonical JSON that it was sent",
    "refuses an order that is not as it was quoted": "answered 409",
    "refuses an order without an input that it needs": "answered 422",
    "asks by 402 for an order with its input": "answered 402",
    "answers for an input that it never got": "answered 200",
    PARTS: "said that it has 0, 20, 20, 40, 40 bytes",
    "refuses an input with another hash": "answered 422",
    "refuses a part of an input that does not follow what it has": "answered 409",
    "has no file of a job it never sold": "answered 404",
    "ends no job it never sold": "answered 404",
}


def test_a_vendor_of_jobs_with_files_conforms(shop: ShopVendor) -> None:
    shop.reset()
    findings = checked(shop)
    assert {name: finding.detail for name, finding in findings.items()} == WORK
    assert all(finding.passed for finding in findings.values())
    assert not any("PAYMENT-SIGNATURE" in request.headers for request in shop.requests if b"workload" in request.body)


def test_a_vendor_is_tried_for_what_it_offers_alone(shop: ShopVendor) -> None:
    shop.reset()
    shop.accepts = ["workload"]
    findings = checked(shop)
    assert findings[OFFERS].detail == "workload; not files, checkpoint, cancel"
    assert list(findings) == list(WORK)[:5]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (VendorAnswer(200, WIRE_QUOTE), "offers none of workload, files, checkpoint, cancel"),
        (VendorAnswer(422, {"error": "unknown field workload"}), "takes no workload: answered 422"),
    ],
)
def test_a_vendor_of_the_old_api_is_no_worse(shop: ShopVendor, answer: VendorAnswer, words: str) -> None:
    """Whether it ignores what it does not know, or refuses it."""
    shop.reset()
    plain = VendorAnswer(200, WIRE_QUOTE)
    shop.routes["POST /quote"] = lambda request: answer if b"workload" in request.body else plain
    (finding,) = checked(shop).values()
    assert finding.passed
    assert words in finding.detail


def test_what_departs_from_the_api_is_named(shop: ShopVendor) -> None:
    shop.reset()
    answer = {**WIRE_QUOTE, "accepts": ["workload"], "workloadHash": "f" * 64}
    shop.script("POST /quote", VendorAnswer(200, answer))
    (finding,) = checked(shop).values()
    assert (finding.check, finding.passed) == (REPEATS, False)
    assert "its price may be for other work" in finding.detail
    del shop.routes["POST /quote"]
    for route in ("POST /submit-job", "PUT /job-input", "GET /job-file", "POST /job-cancel"):
        shop.script(route, VendorAnswer(200, {"received": 0, "complete": False, "status": "completed"}))
    shop.script("GET /job-input", VendorAnswer(200, {"received": 0}))
    findings = checked(shop)
    assert [name for name, finding in findings.items() if finding.passed] == [
        OFFERS,
        REPEATS,
        "answers for an input that it never got",
    ]
    assert findings[PARTS].detail == ("said that it has 0, 0, 0, 0, 0 bytes, wanted [0, 20, 20, 40, 40]")
    shop.script("PUT /job-input", VendorAnswer(413, {"error": "too large"}))
    assert "answered 413 to /job-input" in checked(shop)[PARTS].detail
