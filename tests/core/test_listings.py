"""A seller's own 402, held against what it is listed with."""

from dataclasses import replace

import pytest

from gpuagent.core.listings import Listing, UnpaidAnswer, differences, origin, price, units
from gpuagent.core.model import Terms
from tests.support.factories import PAYER, TERMS, TOKEN

CHECKSUMMED = replace(TERMS, pay_to=TERMS.pay_to.upper().replace("0X", "0x"))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ([TERMS], ""),
        ([CHECKSUMMED], ""),
        ([replace(TERMS, network="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"), TERMS], ""),
        ([], "does not take our token"),
        ([replace(TERMS, scheme="upto")], "does not take our token"),
        ([replace(TERMS, network="eip155:1")], "does not take our token"),
        ([replace(TERMS, asset=PAYER)], "does not take our token"),
        ([replace(TERMS, amount="1400001")], "listed at 1.40 USD, its 402 asks 1.400001 USD"),
        ([replace(TERMS, amount="1")], "listed at 1.40 USD, its 402 asks 0.000001 USD"),
        ([replace(TERMS, pay_to=PAYER)], "its 402 names " + PAYER),
        ([TERMS, replace(TERMS, pay_to=PAYER)], "names 2 payees"),
        ([replace(TERMS, extra={"name": "USDC", "version": "2"})], "token's own domain"),
        ([replace(TERMS, extra={**TERMS.extra, "assetTransferMethod": "permit2"})], "token's own domain"),
    ],
)
def test_a_402_that_says_otherwise_than_its_listing(asked: list[Terms], problem: str) -> None:
    texts = differences(Listing("https://acme.example", offers=(TERMS,)), UnpaidAnswer(2, tuple(asked)), TOKEN)
    assert (problem in "; ".join(texts)) if problem else not texts


@pytest.mark.parametrize("amount", ["0", "-1", "1.4", "1e6", "", " 1", "٣", "9" * 19, "9" * 5_000])
def test_amounts_that_are_none(amount: str) -> None:
    assert units(replace(TERMS, amount=amount)) is None
    assert price([replace(TERMS, amount=amount)], TOKEN) is None


def test_the_origin_of_a_url() -> None:
    assert origin("https://Acme.example/a/b") == origin("https://acme.example:443") == "https://acme.example:443"
    assert origin("http://127.0.0.1:4001/x") == "http://127.0.0.1:4001"
    assert origin("nothing") == origin("https://acme.example:99999") == ""
