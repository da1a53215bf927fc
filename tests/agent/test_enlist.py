"""A new vendor: whom it wants paid is held against its quote and its 402, and its token against all other vendors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.agent.enlist import Proposal, Wishes, check_new, check_recordable, declared_vendor, examined
from gpuagent.core.listings import Declaration
from gpuagent.core.networks import NOWHERE
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.errors import BadInput, Refused
from tests.support.factories import ASSET, PAYEE, PAYER, TERMS, TOKEN, VENDOR
from tests.support.fake_discovery import NewVendorApi, declaration

URL, ORDER = "https://box.example", "a" * 24
WISHES = Wishes(secret_env="BOX_SECRET")


def examine(declarations: Sequence[Declaration], api: NewVendorApi, wishes: Wishes = WISHES) -> Proposal:
    vendor = declared_vendor(URL, declarations, wishes, TOKEN)
    return examined(vendor, declarations, wishes, TOKEN, cast(VendorApi, api), ORDER)


def test_a_vendor_that_asks_for_what_it_declares() -> None:
    proposal = examine([declaration()], NewVendorApi())
    check_recordable(proposal)
    vendor = proposal.vendor
    assert (vendor.vendor_id, vendor.endpoint, vendor.pay_to) == ("box", URL, PAYEE)
    assert (vendor.secret_env, vendor.base_price_per_hour, vendor.gpu_types) == ("BOX_SECRET", 1_400_000, ("A100",))
    assert (vendor.trusted, vendor.reliability) == (False, 0.5)


def test_a_seller_that_quotes_for_no_work_alone_is_asked_for_next_to_none() -> None:
    assert examine([declaration()], NewVendorApi(needs_work=True)).quote.amount == 1_400_000


@pytest.mark.parametrize(
    ("quote_changes", "offer_changes", "wishes", "problem"),
    [
        ({"pay_to": PAYER}, {}, WISHES, f"its quote is to be paid to {PAYER}"),
        ({"asset": PAYER}, {}, WISHES, "its quote is to be paid to"),
        ({"network": "eip155:1"}, {}, WISHES, "its quote is to be paid to"),
        ({"amount": 2_800_000}, {"amount": "2800000"}, WISHES, "1.40 USD per hour of A100, and quotes 2.80 USD"),
        ({}, {"pay_to": PAYER}, WISHES, "its 402 asks for another payee"),
        ({}, {"amount": "1400001"}, WISHES, "its 402 asks for another amount"),
        ({}, {"extra": {}}, WISHES, "its 402 asks for extra terms"),
        ({}, {}, replace(WISHES, pay_to=PAYER), f"is to be paid to {PAYEE}, and you say {PAYER}"),
    ],
)
@pytest.mark.safety("a vendor whose quote or 402 differs from what it declares is not recorded, and says why")
def test_a_vendor_that_asks_otherwise_is_not_recorded(
    quote_changes: dict[str, Any], offer_changes: dict[str, Any], wishes: Wishes, problem: str
) -> None:
    api = NewVendorApi(quote_changes, (replace(TERMS, **offer_changes),))
    proposal = examine([declaration()], api, wishes)
    assert problem in "; ".join(proposal.differences)
    with pytest.raises(Refused, match="box is not recorded"):
        check_recordable(proposal)


def test_the_recorded_price_is_that_of_the_gpu_that_was_asked_for() -> None:
    declared = declaration(gpu_prices={"A100": 1_400_000, "T4": 200_000})
    proposal = examine([declared], NewVendorApi())
    assert (proposal.vendor.base_price_per_hour, proposal.vendor.gpu_types) == (1_400_000, ("A100", "T4"))
    proposal = examine([declared], NewVendorApi(), replace(WISHES, gpu_types=("T4",)))
    assert "it declares 0.20 USD per hour of T4, and quotes 1.40 USD" in proposal.differences


def test_a_vendor_of_another_token_or_network_is_not_recorded() -> None:
    for changes in ({"network": "eip155:1"}, {"asset": PAYER}):
        api = NewVendorApi(changes, (replace(TERMS, **changes),))  # type: ignore[arg-type]
        proposal = examine([replace(declaration(), **changes)], api)  # type: ignore[arg-type]
        assert f"this agent pays {ASSET} on {TOKEN.network}" in proposal.differences


def test_a_vendor_that_declares_nothing_is_taken_at_its_quote() -> None:
    with pytest.raises(BadInput, match="say --vendor-id and --gpu"):
        declared_vendor(URL, (), WISHES, TOKEN)
    wishes = replace(WISHES, vendor_id="box", gpu_types=("A100",))
    assert declared_vendor(URL, (), wishes, TOKEN).pay_to == NOWHERE
    proposal = examine((), NewVendorApi(), wishes)
    assert (proposal.differences, proposal.vendor.pay_to, proposal.vendor.base_price_per_hour) == ((), PAYEE, 1_400_000)
    proposal = examine((), NewVendorApi(), replace(wishes, pay_to=PAYER))
    assert proposal.differences


def test_which_of_several_vendors_the_user_says() -> None:
    several = [declaration(), declaration(vendor_id="attic", pay_to=PAYER)]
    with pytest.raises(BadInput, match="declares box, attic: say which"):
        declared_vendor(URL, several, WISHES, TOKEN)
    assert declared_vendor(URL, several, replace(WISHES, vendor_id="attic"), TOKEN).pay_to == PAYER
    with pytest.raises(BadInput, match="declares box: say which"):
        declared_vendor(URL, [declaration()], replace(WISHES, vendor_id="roof"), TOKEN)


def test_a_protocol_that_is_not_spoken() -> None:
    with pytest.raises(Refused, match="box speaks acme/7, this agent gpuagent/1"):
        declared_vendor(URL, [declaration(protocol="acme/7")], WISHES, TOKEN)


@pytest.mark.safety("a vendor's token goes to no vendor at another server, and none of the agent's own secrets to any")
def test_no_token_goes_to_a_server_that_it_is_not_for() -> None:
    with pytest.raises(BadInput, match="--secret-env NAME"):
        declared_vendor(URL, [declaration()], Wishes(), TOKEN)
    for variable in ("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "CDP_API_KEY_SECRET", "MONGODB_URI", "ALERTS_LINK_SECRET"):
        with pytest.raises(Refused, match="the agent's own"):
            check_new(replace(VENDOR, secret_env=variable), ())
    acme = replace(VENDOR, vendor_id="acme", endpoint="https://acme.example/v1", secret_env="ACME_SECRET")
    thief = replace(acme, vendor_id="thief", endpoint="https://thief.example")
    with pytest.raises(Refused, match=r"ACME_SECRET holds the token of acme at https://acme\.example/v1"):
        check_new(thief, [acme])
    assert check_new(replace(thief, secret_env="THIEF_SECRET"), [acme])
    assert check_new(replace(acme, vendor_id="acme_2"), [acme])  # the same server


@pytest.mark.safety("a stranger that is on record is not added again under another id, beside its halt and its caps")
def test_a_stranger_has_one_record() -> None:
    prism = replace(VENDOR, vendor_id="prism", protocol="prism", secret_env="", endpoint="https://prism.example/x402")
    with pytest.raises(Refused, match="is on record as prism"):
        check_new(replace(prism, vendor_id="prism_2", endpoint="https://PRISM.example/x402/"), [prism])
    assert check_new(replace(prism, vendor_id="prism_2", endpoint="https://prism.example/other"), [prism])
    assert check_new(replace(prism, vendor_id="vps", protocol="openvps"), [prism])
    assert not check_new(prism, [prism])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"pay_to": PAYER}, f"another payee {PAYEE}, and this names {PAYER}"),
        ({"network": "eip155:1"}, "another network"),
        ({"asset": PAYER}, "another token"),
        ({"endpoint": "https://thief.example", "secret_env": "OTHER"}, "another endpoint"),
        ({"vendor_id": "GPU_Vendor_1", "pay_to": PAYER}, "gpu_vendor_1 is on record with another payee"),
    ],
)
@pytest.mark.safety("a vendor on record that turns up with another payee, token, network or endpoint is refused")
def test_a_recorded_vendor_with_another_payee_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refused, match=problem) as refusal:
        check_new(replace(VENDOR, **changes), [VENDOR])
    assert "Nothing was changed" in str(refusal.value)


@pytest.mark.parametrize("changes", [{}, {"endpoint": VENDOR.endpoint + "/"}, {"pay_to": NOWHERE}])
def test_a_recorded_vendor_as_it_is(changes: dict[str, Any]) -> None:
    assert not check_new(replace(VENDOR, **changes), [VENDOR])
