"""The 402 wherever a seller puts it: what is taken of it, what is refused, and what goes back with the payment."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from x402.mechanisms.evm.v1.constants import V1_NETWORK_CHAIN_IDS

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Challenge, Echo, Receipt, Terms
from gpuagent.core.networks import V1_NETWORKS
from gpuagent.core.terms import agreed, declined, priced
from gpuagent.errors import OfferInvalid, Refused
from gpuagent.wire.offers import ECHO_MAX, read_challenge
from gpuagent.wire.x402 import payment_header, receipt, refusal
from tests.support.factories import ASSET, PAYEE, TERMS, TOKEN, VENDOR, WIRE_TERMS, authorization, quote

V2 = {"x402Version": 2, "accepts": [WIRE_TERMS]}
V1_TERMS = {
    "scheme": "exact",
    "network": "local",
    "maxAmountRequired": "1400000",
    "resource": "https://gpu.example/run",
    "description": "a job",
    "mimeType": "application/json",
    "payTo": PAYEE,
    "maxTimeoutSeconds": 300,
    "asset": ASSET,
    "outputSchema": None,
    "extra": {"name": "USD Coin", "version": "2"},
}
V1 = {"x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [V1_TERMS]}
TERMS_V1 = replace(TERMS, echo=Echo(version=1, network="local"))
DEARER = {**WIRE_TERMS, "amount": "9"}


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def unpacked(header: str) -> Any:
    return json.loads(base64.b64decode(header))


def wallet() -> LocalWallet:
    return LocalWallet("0x" + "11" * 32, TOKEN)


def paid(terms: Terms, identifier: str = "") -> Any:
    """What a payment on these terms holds."""
    return unpacked(wallet().sign(authorization(payer=wallet().address), terms, identifier))


@pytest.mark.safety("a 402 in any of its places: version 2 in header or body, version 1 only where the record says so")
@pytest.mark.parametrize(
    ("recorded", "header", "body", "taken"),
    [
        (2, V2, {}, TERMS),
        (2, V2, V2, TERMS),
        (2, V2, V1, TERMS),
        (2, V2, {"x402Version": 2, "accepts": [DEARER]}, TERMS),
        (2, None, V2, TERMS),
        (1, None, V1, TERMS_V1),
        (1, V2, V1, TERMS_V1),
    ],
)
def test_an_offer_is_taken_wherever_it_stands(recorded: int, header: Any, body: Any, taken: Terms) -> None:
    headers = {} if header is None else {"payment-required": packed(header)}
    assert read_challenge(headers, json.dumps(body).encode(), recorded).accepts == (taken,)


@pytest.mark.parametrize("form", ["padded", "unpadded", "url-safe", "text"])
def test_an_offer_is_read_in_each_form_that_sellers_write_into_a_header(form: str) -> None:
    """Base64 is what x402 wants, of either alphabet; some sellers forget it."""
    text = json.dumps({**V2, "error": "~~~???>>>"})
    content = base64.b64encode(text.encode()).decode()
    assert "+" in content
    assert content.endswith("=")
    url_safe = content.translate(str.maketrans("+/", "-_"))
    forms = {"padded": content, "unpadded": content.rstrip("="), "url-safe": url_safe.rstrip("="), "text": text}
    assert read_challenge({"payment-required": forms[form]}, b"").accepts == (TERMS,)
    assert refusal({"payment-required": forms[form]}) == "~~~???>>>"


@pytest.mark.parametrize("header", ["{", '{"x402Version": 2', "A", "AA=A", "A A=", "{}x", "é"])
def test_a_header_in_no_form_is_refused(header: str) -> None:
    with pytest.raises(OfferInvalid):
        read_challenge({"payment-required": header}, json.dumps(V2).encode())


@pytest.mark.safety("a 402 in another version of x402 than the vendor is recorded with: a downgrade")
@pytest.mark.parametrize(
    ("recorded", "header", "body", "why"),
    [
        (2, None, V1, "but 1, and the vendor is recorded with 2"),
        (2, V1, V2, "but 1, and the vendor is recorded with 2"),
        (2, "!", V2, "not base64"),
        (1, V2, V2, "but 2, and the vendor is recorded with 1"),
        (1, V1, {}, "not x402 version 1"),
        (2, None, {}, "without PAYMENT-REQUIRED"),
        (2, None, {"x402Version": "2", "accepts": [WIRE_TERMS]}, "not x402 version 2"),
        (2, None, {"x402Version": 2, "accepts": WIRE_TERMS}, "accepts nothing"),
        (1, None, {**V1, "x402Version": True}, "not x402 version 1"),
    ],
)
def test_an_offer_of_another_version_is_refused(recorded: int, header: Any, body: Any, why: str) -> None:
    headers = {} if header is None else {"payment-required": header if isinstance(header, str) else packed(header)}
    with pytest.raises(OfferInvalid, match=why):
        read_challenge(headers, json.dumps(body).encode(), recorded)


@pytest.mark.parametrize("body", [b"", b"[]", b"no", b"\xff", b"[" * 40, b" " * 70_000 + b"{}"])
def test_a_body_that_is_no_offer_is_refused(body: bytes) -> None:
    for recorded in (1, 2):
        with pytest.raises(OfferInvalid):
            read_challenge({}, body, recorded)


@pytest.mark.parametrize(
    "change",
    [
        {"maxAmountRequired": 1400000},
        {"maxAmountRequired": None, "amount": "1400000"},
        {"payTo": None},
        {"maxTimeoutSeconds": "300"},
        {"extra": "{}"},
    ],
)
def test_an_entry_of_version_1_of_other_types_is_left_out(change: dict[str, Any]) -> None:
    body = json.dumps({**V1, "accepts": [{**V1_TERMS, **change}, V1_TERMS]}).encode()
    assert read_challenge({}, body, 1).accepts == (TERMS_V1,)


def test_names_of_networks_in_version_1_are_those_of_the_table() -> None:
    """A name that is not there is no network of ours, nor is the CAIP-2 name in its place."""
    assert {name: int(caip2.partition(":")[2]) for name, caip2 in V1_NETWORKS.items()} == {
        **V1_NETWORK_CHAIN_IDS,
        "local": 31337,
    }
    assert len(set(V1_NETWORKS.values())) == len(V1_NETWORKS)
    for name in ("base", "Local", "solana", TOKEN.network):
        (terms,) = read_challenge(
            {}, json.dumps({**V1, "accepts": [{**V1_TERMS, "network": name}]}).encode(), 1
        ).accepts
        with pytest.raises(OfferInvalid, match="another network than eip155:31337"):
            agreed(Challenge((terms,)), quote(), VENDOR, TOKEN)


def test_a_payment_is_written_in_the_version_of_its_offer() -> None:
    """In version 1 under its own name, with the seller's own word for the network."""
    header = wallet().sign(authorization(payer=wallet().address), TERMS_V1, "a" * 24)
    payload = unpacked(header)
    assert payment_header(header) == {"X-PAYMENT": header}
    assert {name: payload[name] for name in ("x402Version", "scheme", "network")} == {
        "x402Version": 1,
        "scheme": "exact",
        "network": "local",
    }
    assert payload["payload"]["authorization"]["value"] == "1400000"
    assert set(payload) == {"x402Version", "scheme", "network", "payload"}
    newer = wallet().sign(authorization(payer=wallet().address), TERMS, "")
    assert payment_header(newer) == {"PAYMENT-SIGNATURE": newer}
    for unreadable in ("", "!", packed([1]), packed({"x402Version": True})):
        assert payment_header(unreadable) == {"PAYMENT-SIGNATURE": unreadable}


@pytest.mark.parametrize("name", ["base", "", TOKEN.network])
def test_the_wallet_signs_for_no_other_network_by_its_name(name: str) -> None:
    with pytest.raises(Refused, match="name of the network"):
        paid(replace(TERMS, echo=Echo(version=1, network=name)))


def test_a_receipt_is_read_under_both_names() -> None:
    answer = {"success": True, "transaction": "0x" + "5" * 64, "network": "local", "payer": "0x1"}
    for name in ("payment-response", "x-payment-response"):
        assert receipt({name: packed(answer)}) == Receipt(True, "0x" + "5" * 64, "local")
        assert refusal({name: packed({"success": False, "errorReason": "no_gas"})}) == "no_gas"
        for odd in ({}, [], {"success": 1}, {"success": "true"}):
            assert receipt({name: packed(odd)}) is None
    assert receipt({"payment-response": packed({"success": False, "transaction": 7})}) == Receipt(False, "", "")
    assert receipt({"payment-response": packed({"success": True, "transaction": "a\n" * 99})}) is not None
    assert receipt({}) is None


@pytest.mark.safety("several offers in changing order: only the one that the record names is taken")
def test_of_several_offers_the_recorded_one_is_taken_whatever_its_place() -> None:
    others = [
        {**WIRE_TERMS, "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"},
        {**WIRE_TERMS, "network": "eip155:42220"},
        {**WIRE_TERMS, "payTo": "0x" + "d" * 40, "amount": "1"},
        {**WIRE_TERMS, "scheme": "upto"},
    ]
    for place in range(len(others) + 1):
        accepts = [*others[:place], WIRE_TERMS, *others[place:]]
        challenge = read_challenge({}, json.dumps({"x402Version": 2, "accepts": accepts}).encode())
        taken = agreed(challenge, quote(), VENDOR, TOKEN)
        assert taken == priced(challenge, VENDOR) == TERMS
        reasons = declined(challenge, taken, quote(), VENDOR, TOKEN)
        assert [reason.partition(": ")[2] for reason in reasons] == [
            "another network than eip155:31337",
            "another network than eip155:31337",
            "another payee than the recorded one, another amount than the quoted 1.40 USD",
            "another scheme than exact",
        ]
        assert reasons[0].startswith("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvd")


def test_a_price_is_that_of_the_cheapest_offer_that_the_record_allows() -> None:
    def offer(*amounts: str, **changes: str) -> Challenge:
        return Challenge(tuple(replace(TERMS, amount=amount, **changes) for amount in amounts))  # type: ignore[arg-type]

    for amounts in (("5", "7"), ("7", "5"), ("x", "5", "", "-1", "0", "1.5", "٣", "05", "9" * 19)):
        assert priced(offer(*amounts), VENDOR).amount == "5"
    for changes in ({"network": "eip155:1"}, {"asset": PAYEE}, {"pay_to": ASSET}, {"scheme": "upto"}):
        with pytest.raises(OfferInvalid, match="another"):
            priced(offer("5", **changes), VENDOR)
    with pytest.raises(OfferInvalid, match="no offer"):
        priced(Challenge(()), VENDOR)


RESOURCE = {"url": "https://gpu.example/run", "description": "a job", "mimeType": "application/json"}


def echoed(**changes: Any) -> Any:
    """What a payment repeats of a 402 with these parts, beside its terms."""
    challenge = read_challenge({}, json.dumps({**V2, **changes}).encode())
    payload = paid(challenge.accepts[0], "a" * 24 if challenge.wants_identifier else "")
    assert payload["accepted"] == WIRE_TERMS
    return {name: payload[name] for name in ("resource", "extensions") if name in payload}


@pytest.mark.safety("what a 402 wants to be repeated: inert, at most 4 KiB of it, and never our own identifier")
def test_what_a_seller_wants_repeated_is_repeated_within_bounds() -> None:
    bazaar = {"info": {"input": {"type": "http", "method": "POST", "share": 0.25}}, "schema": {"type": "object"}}
    assert echoed(resource=RESOURCE, extensions={"bazaar": bazaar}) == {
        "resource": RESOURCE,
        "extensions": {"bazaar": bazaar},
    }
    assert echoed(resource=RESOURCE, extensions={"bazaar": {"text": "x" * 14_000}}) == {"resource": RESOURCE}
    assert echoed(extensions={"erc20ApprovalGasSponsoring": {"info": {}}, "new": {}, "bazaar": bazaar}) == {
        "extensions": {"bazaar": bazaar}
    }
    assert echoed(resource={**RESOURCE, "description": "x" * ECHO_MAX}, extensions=[1]) == {}
    assert echoed(resource="https://gpu.example", extensions={}) == {}
    identifier = {"info": {"required": True}, "schema": {"type": "evil"}}
    both = echoed(extensions={"payment-identifier": identifier, "bazaar": bazaar})["extensions"]
    assert both["bazaar"] == bazaar
    assert both["payment-identifier"]["info"] == {"required": True, "id": "a" * 24}
    assert "evil" not in json.dumps(both)
    for info in ({"required": False}, {"required": 1, "more": "evil"}, None):
        open_to_us = echoed(extensions={"payment-identifier": {"info": info}})["extensions"]["payment-identifier"]
        assert open_to_us["info"] == {"required": False, "id": "a" * 24}


def test_what_is_repeated_changes_nothing_that_is_signed() -> None:
    plain, decorated = paid(TERMS), paid(replace(TERMS, echo=Echo(2, "", RESOURCE, {"payload": {"value": "9"}})))
    assert plain["payload"] == decorated["payload"]
    assert plain["accepted"] == decorated["accepted"]


def test_decimals_in_what_is_repeated_are_numbers_again() -> None:
    offer = {**V2, "extensions": {"bazaar": {"shares": [1.5, 2]}}}
    (terms,) = read_challenge({}, json.dumps(offer).encode()).accepts
    assert terms.echo.extensions == {"bazaar": {"shares": [1.5, 2]}}
    assert "Decimal" not in repr(terms.echo)
