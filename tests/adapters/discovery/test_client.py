"""Sellers asked without payment: which forms of a 402 are read, and what is never sent or followed."""

import json
import socket
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.discovery.client import HttpDiscovery
from gpuagent.adapters.discovery.rows import listing_from
from gpuagent.core.listings import Listing, UnpaidAnswer
from gpuagent.errors import ListUnavailable, OfferInvalid, VendorError, VendorUnauthorized
from tests.support.discovery_lists import BODY, Answer, DiscoveryLists, challenge, declared, terms, v1_terms
from tests.support.factories import TERMS


def ask(stub: DiscoveryLists, client: HttpDiscovery, answer: Answer, **changes: Any) -> UnpaidAnswer:
    stub.sellers["/job"] = answer
    listing = Listing(f"{stub.url}/job", source=stub.list_url("bazaar"), body=BODY)
    return client.unpaid(Listing(**{name: changes.get(name, getattr(listing, name)) for name in Listing.__slots__}))


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (challenge(), 2),
        (challenge(in_body=True), 2),
        (challenge(v1_terms(), version=1, in_body=True), 1),
        ((402, challenge()[1], challenge(terms(7), in_body=True)[2]), 2),
    ],
    ids=["v2 header", "v2 body", "v1 body", "v2 header beside another body"],
)
def test_every_form_of_a_402_is_read(stub: DiscoveryLists, client: HttpDiscovery, answer: Answer, version: int) -> None:
    read = ask(stub, client, answer)
    assert (read.version, [(offer.network, offer.amount, offer.pay_to) for offer in read.offers]) == (
        version,
        [(TERMS.network, TERMS.amount, TERMS.pay_to)],
    )


def test_the_declared_order_is_sent_and_nothing_of_ours(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    read = ask(stub, client, challenge(extensions=declared()))
    assert read.fields == ("vendorJobTemplateId", "jobParams")
    assert json.loads(stub.bodies["/job"]) == BODY
    sent = {name.lower() for name in stub.headers[0]}
    assert sent <= {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length", "content-type"}
    ask(stub, client, challenge(), method="GET")
    assert stub.asked[-1] == "GET /job"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((200, {}, b"{}"), "answered 200 instead of 402"),
        ((404, {}, b""), "answered 404"),
        ((402, {}, b"pay me"), "no offer that can be read"),
        ((402, {"PAYMENT-REQUIRED": "not base64!"}, b""), "no offer that can be read"),
        (challenge(version=3), "no version of x402"),
        ((402, {}, b"[]"), "no version of x402"),
        ((402, {}, b"x" * 70_000), "more than"),
        ((302, {"Location": "http://169.254.169.254/latest"}, b""), "redirect"),
        ((307, {"Location": "/elsewhere"}, b""), "redirect"),
    ],
    ids=["free", "gone", "text", "not base64", "v3", "array", "huge", "redirect to a private address", "redirect"],
)
def test_sellers_without_an_offer(stub: DiscoveryLists, client: HttpDiscovery, answer: Answer, problem: str) -> None:
    stub.sellers["/elsewhere"] = challenge()
    with pytest.raises(VendorError, match=problem):
        ask(stub, client, answer)
    assert stub.asked == ["POST /job"]


@pytest.mark.parametrize("answer", [(401, {}, b"{}"), (403, {}, b""), (402, {"WWW-Authenticate": "Bearer"}, b"{}")])
def test_sellers_that_want_a_bearer_token(stub: DiscoveryLists, client: HttpDiscovery, answer: Answer) -> None:
    with pytest.raises(VendorUnauthorized, match=f"answered {answer[0]}: what it wants is said to who has its secret"):
        ask(stub, client, answer)


def test_a_price_beside_a_bearer_challenge_is_a_price(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    status, headers, body = challenge(terms())
    read = ask(stub, client, (status, {**headers, "WWW-Authenticate": "Bearer"}, body))
    assert [offer.amount for offer in read.offers] == ["1400000"]


def test_a_402_of_strange_offers_has_those_that_are_some(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    offers: list[Any] = [None, 7, {}, terms(amount="1e6"), terms(payTo=5), terms(extra=[]), *[terms()] * 100]
    read = ask(stub, client, challenge(*offers))
    assert [offer.amount for offer in read.offers[:3]] == ["1e6", "1400000", "1400000"]
    assert len(read.offers) <= 16


@pytest.mark.safety("a seller that a public list names is not asked on this machine or its network")
def test_a_public_lists_seller_is_not_asked_here(
    stub: DiscoveryLists, client: HttpDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for resource in (f"{stub.url}/job", "https://192.168.1.1/job", "https://[::1]/job", "http://acme.example/job"):
        with pytest.raises(VendorError, match="its URL is not asked"):
            client.unpaid(Listing(resource, source="https://list.example/discovery"))
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", stub.server.server_port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])
    with pytest.raises(VendorError, match="no public address"):
        client.unpaid(Listing("https://inner.acme.example/job", source="https://list.example/discovery"))
    with pytest.raises(ListUnavailable, match="no public address"):
        client.listings("https://inner.acme.example/discovery", "job")
    assert stub.asked == []


def test_declared_orders_that_are_odd(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    row = stub.row("/job", extensions=declared({"hours": 1.5, "text": "\u202e\ud800", "deep": [[[{}]]]}))
    listing = listing_from(json.loads(json.dumps(row), parse_float=Decimal), stub.list_url("bazaar"), local=True)
    assert listing
    ask(stub, client, challenge(), body=listing.body)
    assert json.loads(stub.bodies["/job"])["hours"] == 1.5
    for body in ({"hours": Decimal("1e999")}, {"text": "x" * 20_000}):
        with pytest.raises(VendorError, match="the order that it declares"):
            ask(stub, client, challenge(), body=body)


def test_a_dead_seller(client: HttpDiscovery) -> None:
    with pytest.raises(VendorError, match="does not answer"):
        client.unpaid(Listing("http://127.0.0.1:9/job", source="http://127.0.0.1:9/discovery"))


def test_an_answer_of_a_hostile_header(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    headers: Mapping[str, str] = {"PAYMENT-REQUIRED": "QQ==" * 20_000}
    with pytest.raises((OfferInvalid, VendorError)):
        ask(stub, client, (402, headers, b""))
