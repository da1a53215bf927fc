"""`vendor check` on vendors that depart from the vendor API: what it finds without paying."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.core.model import Challenge, Quote
from gpuagent.core.ports import VendorApi
from gpuagent.doctor.conformance import check
from gpuagent.doctor.probe import ConformanceResult
from gpuagent.errors import VendorError
from gpuagent.wire.bounded_http import BoundedHttp, Reply
from tests.support.factories import TERMS, TOKEN, VENDOR, quote

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
