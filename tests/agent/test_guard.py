"""The guard and its two pairs: the rules between a decision or a 402 and a signature."""

import base64
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.agent import decide, guard, market, pay, plan, quotes
from gpuagent.agent.guard import check_decision, check_payee
from gpuagent.core.model import Action, Authorized, Challenge, Reserved
from gpuagent.core.terms import agreed, derived_job_id, nonce, problem, unsigned_nonces
from gpuagent.errors import ConfigError, DecisionRefused, OfferInvalid, Refused
from gpuagent.tick import step
from gpuagent.wire import strict_json
from gpuagent.wire.offers import decode_challenge
from tests.support.factories import (
    NOW,
    PAYER,
    RUN,
    TERMS,
    TOKEN,
    VENDOR,
    WIRE_TERMS,
    authorization,
    candidate,
    context,
    decision,
    quote,
)
from tests.support.world import World

OTHER_ADDRESS = "0x" + "9" * 40


RULES = re.findall(r"^- (\w+): \S", guard.__doc__ or "", re.MULTILINE)


def test_the_docstring_of_the_guard_lists_its_rules_in_the_order_of_the_file() -> None:
    functions = [
        value for value in vars(guard).values() if inspect.isfunction(value) and value.__module__ == guard.__name__
    ]
    assert [function.__name__ for function in functions] == RULES


def test_a_purchase_is_held_against_the_rules_in_the_order_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def recorded(rule: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append(rule.__name__)
            return rule(*args)

        return call

    for name in RULES:
        for module in (decide, market, pay, plan, quotes):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, recorded(getattr(guard, name)))
    run = step(world.start().run_id, world.ports)
    assert isinstance(run.jobs[0], Reserved)
    run = step(run.run_id, world.ports)
    assert isinstance(run.jobs[0], Authorized)
    of_what_is_signed = {"is_expired", "waited_from", "lapsed"}
    assert list(dict.fromkeys(calls)) == [name for name in RULES if name not in of_what_is_signed]


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "upto"},
        {"network": "eip155:8453"},
        {"network": "eip155:31337:zzz"},
        {"asset": OTHER_ADDRESS},
        {"pay_to": OTHER_ADDRESS},
        {"amount": "1400001"},
        {"amount": "1399999"},
        {"amount": "01400000"},
        {"amount": "1400000.0"},
        {"amount": "١٤٠٠٠٠٠"},
        {"max_timeout_s": 0},
        {"max_timeout_s": -1},
        {"max_timeout_s": 601},
        {"extra": {}},
        {"extra": {"name": "USD Coin", "version": "1"}},
        {"extra": {"name": "USD Coin", "version": "2", "assetTransferMethod": "permit2"}},
        {"extra": {"name": "USD Coin", "version": "2", "paymentFlow": "upfront"}},
    ],
)
def test_terms_other_than_agreed_are_refused(changes: dict[str, Any]) -> None:
    assert problem(TERMS, quote(), VENDOR, TOKEN) == ""
    evil = replace(TERMS, **changes)
    assert problem(evil, quote(), VENDOR, TOKEN)
    with pytest.raises(OfferInvalid):
        agreed(Challenge((evil,)), quote(), VENDOR, TOKEN)
    assert agreed(Challenge((evil, TERMS)), quote(), VENDOR, TOKEN) == TERMS


FACTS: tuple[dict[str, object], ...] = (
    {"assetTransferMethod": "eip3009"},
    {"decimals": 6},
    {"decimals": "6"},
    {"chainId": TOKEN.chain_id},
    {"chainId": str(TOKEN.chain_id)},
    {"verifyingContract": TOKEN.address},
    {"primaryType": "TransferWithAuthorization"},
    {"assetTransferMethod": "eip3009", "decimals": 6, "chainId": TOKEN.chain_id},
)


@pytest.mark.parametrize("facts", FACTS, ids=str)
def test_extra_that_repeats_what_the_chain_says_changes_no_terms(facts: dict[str, object]) -> None:
    """It is echoed as it came, for the seller may compare it; the wallet agrees."""
    terms = replace(TERMS, extra={**TERMS.extra, **facts})
    assert problem(terms, quote(), VENDOR, TOKEN) == ""
    header = wallet().sign(authorization(payer=wallet().address), terms, "")
    assert json.loads(base64.b64decode(header))["accepted"]["extra"] == terms.extra


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"name": "USD Coin"},
        {"version": "2"},
        {**TERMS.extra, "version": 2},
        {**TERMS.extra, "name": "usd coin"},
        {**TERMS.extra, "assetTransferMethod": "permit2"},
        {**TERMS.extra, "assetTransferMethod": "EIP3009"},
        {**TERMS.extra, "assetTransferMethod": None},
        {**TERMS.extra, "decimals": 18},
        {**TERMS.extra, "decimals": 6.0},
        {**TERMS.extra, "decimals": True},
        {**TERMS.extra, "chainId": 1},
        {**TERMS.extra, "verifyingContract": OTHER_ADDRESS},
        {**TERMS.extra, "primaryType": "ReceiveWithAuthorization"},
        {**TERMS.extra, "paymentFlow": "upfront"},
        {**TERMS.extra, "feePayer": PAYER},
        {**TERMS.extra, "Name": "USD Coin"},
    ],
    ids=str,
)
def test_extra_that_says_anything_else_is_refused_by_guard_and_wallet(extra: dict[str, object]) -> None:
    terms = replace(TERMS, extra=extra)
    assert problem(terms, quote(), VENDOR, TOKEN) == "extra terms or another token name"
    with pytest.raises(Refused, match="token domain"):
        wallet().sign(authorization(payer=wallet().address), terms, "")


def test_the_vendors_record_is_pinned_not_its_word() -> None:
    with pytest.raises(OfferInvalid):
        check_payee(quote(pay_to=OTHER_ADDRESS), VENDOR)
    with pytest.raises(OfferInvalid):
        check_payee(quote(asset=OTHER_ADDRESS), VENDOR)
    with pytest.raises(OfferInvalid):
        check_payee(quote(network="eip155:1"), VENDOR)
    # A quote and a 402 that agree with each other, but not with the record.
    evil = replace(TERMS, pay_to=OTHER_ADDRESS)
    assert problem(evil, quote(pay_to=OTHER_ADDRESS), VENDOR, TOKEN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vendor_id": "gpu_vendor_9"}, "not among"),
        ({"vendor_id": "silent"}, "no live quote"),
        ({"vendor_id": "dear"}, "asks 4.999951 USD, available are 4.99995 USD"),
        ({"vendor_id": "halted"}, "Ada halted it"),
        ({"vendor_id": "late"}, "expired"),
        ({"max_hours": Decimal(2)}, "hours"),
        ({"max_hours": Decimal(-1)}, "hours"),
        ({"max_hours": Decimal("NaN")}, "hours"),
        ({"max_hours": Decimal("sNaN")}, "hours"),
        ({"action": Action.WAIT, "wait_until": float("nan")}, "no time"),
        ({"action": Action.WAIT, "wait_until": float("inf")}, "no time"),
    ],
)
def test_the_guard_refuses_a_bad_answer_and_says_why(changes: dict[str, Any], reason: str) -> None:
    amounts = {"gpu_vendor_1": 1_400_000, "silent": None, "dear": 4_999_951, "late": 1, "halted": 1}
    refusals = {"halted": ("Ada halted it",)}
    planner_context = context(
        *(candidate(name, amount, refusals=refusals.get(name, ())) for name, amount in amounts.items())
    )
    quotes = {name: quote(amount, name) for name, amount in amounts.items() if amount}
    quotes["late"] = quote(1, "late", expires_at=NOW)
    assert check_decision(decision(), planner_context, quotes, NOW, cost=50) == quotes["gpu_vendor_1"]
    with pytest.raises(DecisionRefused, match=reason):
        check_decision(decision(**changes), planner_context, quotes, NOW, cost=50)


def test_offer_is_read() -> None:
    offer = json.dumps({"x402Version": 2, "accepts": [{"scheme": "exact"}, WIRE_TERMS, 7]})
    assert decode_challenge(base64.b64encode(offer.encode()).decode()) == Challenge((TERMS,))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def test_payment_identifier_is_declared_as_the_sdk_does() -> None:
    from x402.extensions.payment_identifier import (
        PAYMENT_IDENTIFIER,
        append_payment_identifier_to_extensions,
        declare_payment_identifier_extension,
    )

    extensions = {PAYMENT_IDENTIFIER: declare_payment_identifier_extension()}
    append_payment_identifier_to_extensions(extensions, "a" * 24)
    payload = json.loads(base64.b64decode(wallet().sign(authorization(payer=wallet().address), TERMS, "a" * 24)))
    assert payload["extensions"] == extensions


# In other encodings a quotation mark may stand within a character, and hide what follows from the count.
UTF_16 = (b"\xff\xfe" + ('{"a":"\u2200","b":' + "[" * 90_000).encode("utf-16-le"), '{"a": 1}'.encode("utf-32"))


@pytest.mark.parametrize("deep", [b"[" * 33, b'{"a":' * 40, b"[" * 1_000_000, b'"' + b"[" * 40 + b'",' + b"[" * 33])
def test_deep_json_is_refused_before_it_is_parsed(deep: bytes) -> None:
    with pytest.raises(ValueError, match="deeper"):
        strict_json.parse(deep)


@pytest.mark.parametrize(
    "odd", [*UTF_16, b"NaN", b"-Infinity", b"", b"{", b"\xff", b"1e", b"nul", b"\xef\xbb\xbf" * 2 + b"{}"]
)
def test_unsound_json_is_refused(odd: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.parse(odd)


@given(json_values)
def test_sound_json_is_read(value: Any) -> None:
    text = json.dumps({"a [": value, 'b"{\\': "[[{"}).encode()
    assert strict_json.parse(text) == json.loads(text, parse_float=Decimal)
    assert strict_json.parse(b"\xef\xbb\xbf" + text) == strict_json.parse(text)


def wallet() -> LocalWallet:
    return LocalWallet("0x" + "11" * 32, TOKEN)


@pytest.mark.parametrize(
    ("authorization_changes", "terms_changes"),
    [
        ({"payer": PAYER}, {}),
        ({"payee": OTHER_ADDRESS}, {}),
        ({"amount": 1_400_001}, {}),
        ({"amount": 0}, {"amount": "0"}),
        ({"network": "eip155:1"}, {}),
        ({"asset": OTHER_ADDRESS}, {}),
        ({}, {"asset": OTHER_ADDRESS}),
        ({}, {"pay_to": OTHER_ADDRESS}),
        ({}, {"extra": {"name": "Evil", "version": "2"}}),
    ],
)
def test_wallet_signs_nothing_but_its_own_agreed_transfer(
    authorization_changes: dict[str, Any], terms_changes: dict[str, Any]
) -> None:
    good = authorization(payer=wallet().address)
    assert wallet().sign(good, TERMS, "")
    with pytest.raises(Refused):
        wallet().sign(replace(good, **authorization_changes), replace(TERMS, **terms_changes), "")


def test_signing_is_repeatable_and_shows_no_key() -> None:
    good = authorization(payer=wallet().address)
    assert wallet().sign(good, TERMS, "a" * 24) == wallet().sign(good, TERMS, "a" * 24)
    assert "11" * 8 not in repr(wallet())
    with pytest.raises(ConfigError) as error:
        LocalWallet("0x" + "zz" * 32, TOKEN)
    assert "zz" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_jobs_id_and_nonce_are_its_own() -> None:
    ids = {derived_job_id(run_id, ordinal) for run_id in ("a" * 24, "b" * 24) for ordinal in range(2)}
    assert len(ids) == 4
    assert all(len(job_id) == 24 and int(job_id, 16) for job_id in ids)
    assert len(set(unsigned_nonces(RUN, TOKEN))) == RUN.jobs_max
    nonces = {
        nonce(TOKEN, PAYER, "one"),
        nonce(TOKEN, PAYER, "two"),
        nonce(TOKEN, OTHER_ADDRESS, "one"),
        nonce(replace(TOKEN, network="eip155:8453"), PAYER, "one"),
        nonce(replace(TOKEN, address=OTHER_ADDRESS), PAYER, "one"),
    }
    assert len(nonces) == 5
    assert nonce(TOKEN, PAYER.upper().replace("0X", "0x"), "one") == nonce(TOKEN, PAYER, "one")


def test_a_jobs_id_and_nonce_are_the_same_in_every_process_and_version() -> None:
    """They find what a lost record paid for, so they may never come out differently."""
    assert derived_job_id("a" * 24, 1) == "3a7f7384b346daec17270335"
    expected = "0x89a101fd49808d09ccdf8a1aa36f1849d786f6408bb30b477b81ad3c388e0eec"
    assert nonce(TOKEN, PAYER, "one") == expected
