"""Whatever bytes a vendor sends: one kind of error, and never a signature for anything but the quote. No servers."""

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuagent.adapters.vendors.answers import read_object, read_quote, read_report
from gpuagent.adapters.vendors.job_name import read_job_id
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Quote
from gpuagent.core.terms import agreed
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport
from gpuagent.errors import OfferInvalid, VendorError
from gpuagent.wire.offers import decode_challenge
from gpuagent.wire.x402 import HEADER_MAX, PAYMENT_IDENTIFIER
from tests.support.factories import (
    PAYEE,
    TERMS,
    TOKEN,
    VENDOR,
    WIRE_QUOTE,
    WIRE_STATUS,
    WIRE_TERMS,
    authorization,
    quote,
)

bounded = settings(deadline=None, max_examples=400)
WALLET = LocalWallet("0x" + "11" * 32, TOKEN)
NUMERALS = (
    "1400001",
    "1.4",
    "1,4",
    "01400000",
    "+1400000",
    "-1400000",
    "1400000.0",
    "14e5",
    " 1400000",
    "1_400_000",
    "",
)
ODD_NUMERALS = ("١٤٠٠٠٠٠", "１４００００", "0x155cc0", "1400000\n", "1400000\u200b", "$1.40", "NaN", "-Infinity", "∞")
HUGE_NUMBERS = ("1e400", "-1e400", "1e999999999", "1e-999999999", "-1e999999999", "9" * 400, "9" * 5_000)
BARE_NUMBERS = (*HUGE_NUMBERS, "-0", "0", "00", "-1", "1.", "NaN", "Infinity", "true")

numerals = st.sampled_from(["1400000", *NUMERALS, *ODD_NUMERALS])
numbers = st.integers() | st.floats() | st.just(10**400) | st.just(-(10**30)) | st.integers(1_399_999, 1_400_001)
leaves = st.none() | st.booleans() | numbers | numerals | st.text(max_size=20) | st.just("x" * 5_000)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


anything = values | st.sampled_from([nested(30), nested(31), nested(40), nested(200)])


def changed(good: dict[str, Any], *fields: str) -> st.SearchStrategy[dict[str, Any]]:
    """The good object with some fields changed or dropped, and others added."""
    changes = st.dictionaries(st.sampled_from([*good, *fields]), anything, max_size=3)
    drops = st.sets(st.sampled_from([*good]), max_size=1)
    return st.builds(lambda new, gone: {k: v for k, v in {**good, **new}.items() if k not in gone}, changes, drops)


entries = st.lists(changed(WIRE_TERMS, "resource", "x402Version") | anything, max_size=4) | anything
offers = changed({"x402Version": 2, "accepts": [WIRE_TERMS]}, "extensions", "error", "resource")


def header(value: object) -> str:
    return b64encode(json.dumps(value).encode()).decode()


def sign(offer: str) -> dict[str, str] | None:
    """What is signed for a quote of 1.40 USD when the vendor sends this offer, as its verifier would read it."""
    try:
        challenge = decode_challenge(offer)
        terms = agreed(challenge, quote(), VENDOR, TOKEN)
    except OfferInvalid:
        return None
    identifier = "a" * 24 if challenge.wants_identifier else ""
    payment = json.loads(b64decode(WALLET.sign(authorization(payer=WALLET.address), terms, identifier)))
    assert terms == TERMS
    assert payment["accepted"] == WIRE_TERMS
    assert set(payment.get("extensions") or {}) <= {PAYMENT_IDENTIFIER}
    assert payment["payload"]["authorization"].pop("validAfter") == "0"
    signed: dict[str, str] = payment["payload"]["authorization"]
    return signed


AGREED = {
    "from": WALLET.address,
    "to": PAYEE,
    "value": "1400000",
    "validBefore": str(authorization().valid_before),
    "nonce": authorization().nonce,
}


def test_the_agreed_offer_is_signed() -> None:
    assert sign(header({"x402Version": 2, "accepts": [WIRE_TERMS]})) == AGREED


@bounded
@given(offers, entries)
def test_nothing_is_signed_but_the_quote(offer: dict[str, Any], accepts: Any) -> None:
    for challenge in (offer, {**offer, "accepts": accepts}):
        assert sign(header(challenge)) in (None, AGREED)


@pytest.mark.parametrize("amount", [*NUMERALS, *ODD_NUMERALS, 1400000, 1400000.0, True, None, ["1400000"]])
def test_no_other_spelling_of_the_amount_is_signed(amount: object) -> None:
    assert sign(header({"x402Version": 2, "accepts": [{**WIRE_TERMS, "amount": amount}]})) is None


@pytest.mark.parametrize("bare", BARE_NUMBERS)
@pytest.mark.parametrize("field", ["amount", "maxTimeoutSeconds"])
def test_no_odd_number_is_signed(field: str, bare: str) -> None:
    text = json.dumps({"x402Version": 2, "accepts": [{**WIRE_TERMS, field: "@"}]}).replace('"@"', bare)
    assert sign(b64encode(text.encode()).decode()) is None


@pytest.mark.parametrize(
    "offer",
    [
        "not base64!",
        header([]),
        header({"x402Version": 1, "accepts": [WIRE_TERMS]}),
        header({"x402Version": True, "accepts": [WIRE_TERMS]}),
        header({"x402Version": "2", "accepts": [WIRE_TERMS]}),
        header({"x402Version": 2.0, "accepts": [WIRE_TERMS]}),
        header({"accepts": [WIRE_TERMS]}),
        header({"x402Version": 2}),
        header({"x402Version": 2, "accepts": [WIRE_TERMS], "extensions": {PAYMENT_IDENTIFIER: {"info": {"id": "x"}}}}),
        b64encode(b"[" * 10_000).decode(),
        "A" * (HEADER_MAX + 4),
    ],
)
def test_malformed_offers_have_one_error(offer: str) -> None:
    with pytest.raises(OfferInvalid):
        decode_challenge(offer)


@bounded
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_header_has_another_error(junk: bytes | str) -> None:
    text = b64encode(junk).decode() if isinstance(junk, bytes) else junk
    with pytest.raises(OfferInvalid):
        decode_challenge(text)


@bounded
@given(changed(WIRE_QUOTE, "reason", "$where"))
@example({**WIRE_QUOTE, "priceEstimate": 10**400})
@example({**WIRE_QUOTE, "expiresAt": "٢٠٣٠-01-01T00:00:00+00:00"})
def test_no_quote_brings_another_error(body: dict[str, Any]) -> None:
    with suppress(VendorError):
        assert_sound(read_quote(VENDOR, read_object(VENDOR, json.dumps(body).encode()), "A100", Decimal(1)))


@pytest.mark.parametrize("bare", [*BARE_NUMBERS, *map(json.dumps, ODD_NUMERALS)])
@pytest.mark.parametrize("field", ["etaMinutes", "expiresAt"])
def test_odd_numbers_in_a_quote(field: str, bare: str) -> None:
    text = json.dumps({**WIRE_QUOTE, field: "@"}).replace('"@"', bare)
    with suppress(VendorError):
        assert_sound(read_quote(VENDOR, read_object(VENDOR, text.encode()), "A100", Decimal(1)))


@pytest.mark.parametrize("bare", [*BARE_NUMBERS, *map(json.dumps, ODD_NUMERALS)])
def test_no_odd_number_is_a_price(bare: str) -> None:
    text = json.dumps({**WIRE_QUOTE, "priceEstimate": "@"}).replace('"@"', bare)
    with pytest.raises(VendorError):
        read_quote(VENDOR, read_object(VENDOR, text.encode()), "A100", Decimal(1))


@bounded
@given(changed(WIRE_STATUS, "artifactUrl", "errorMessage"))
def test_no_status_brings_another_error(body: dict[str, Any]) -> None:
    with suppress(VendorError):
        assert_inert(read_report(VENDOR, read_object(VENDOR, json.dumps(body).encode())))


@bounded
@given(changed({"vendorJobId": "job-1", "status": "submitted"}))
def test_no_reply_to_a_payment_brings_another_error(body: dict[str, Any]) -> None:
    with suppress(VendorError):
        job_id = read_job_id(VENDOR, read_object(VENDOR, json.dumps(body).encode()))
        assert job_id == "" or (job_id.isascii() and job_id.isprintable() and len(job_id) <= 128)


@bounded
@given(st.binary(max_size=300))
@example(b"1e999999999")
@example(b'{"a": 1e999999999}')
@example(b"[" * 60_000)
@example(b"\xff")
@example(b"9" * 5_000)
def test_no_body_brings_another_error(body: bytes) -> None:
    with suppress(VendorError):
        assert isinstance(read_object(VENDOR, body), dict)


@bounded
@given(st.text(max_size=50))
def test_clean_text_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()
    clean(text).encode()  # no lone surrogates
    assert clean(clean(text)) == clean(text)
    assert len(clean(text * 100, 30)) <= 30


def assert_sound(quote: Quote) -> None:
    assert 0 < quote.amount < 10**18
    assert (quote.pay_to, quote.network, quote.asset) == tuple(
        clean(text, 64) for text in (quote.pay_to, quote.network, quote.asset)
    )
    assert quote.expires_at < 10**10
    assert 0 <= quote.eta_s < 10**10


def assert_inert(report: JobReport) -> None:
    assert 0 <= report.progress <= 1
    for text in (*report.logs, report.artifact_url, report.error_message, *map(str, report.final_metrics.values())):
        assert text.isprintable()
        assert len(text) <= 2_000
    assert not any(key.startswith("$") for key in report.final_metrics)
    json.dumps(dict(report.final_metrics), allow_nan=False)
