"""What vendors quote when all are asked at once, and what is made of their answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.agent.quotes import QUOTE_LIFE_MAX_S, QuoteResult, quotes_of
from gpuagent.core.model import Quote, Vendor
from gpuagent.core.policy import Halt, Policy
from gpuagent.errors import PayeeChanged, PolicyRefused, VendorError, VendorUnauthorized
from tests.support.factories import VENDOR, quote
from tests.support.workshop import Workshop

ANOTHER_PAYEE = "0x" + "9" * 40
VENDORS = tuple(replace(VENDOR, vendor_id=name) for name in ("a", "b", "c"))
REFUSAL = VendorUnauthorized("the token is refused")


class PriceList:
    """Vendors, each with its quote or its error. vendor_ids: of those that were asked."""

    def __init__(self, **answers: Quote | VendorError) -> None:
        self.answers, self.vendor_ids = answers, set[str]()

    def quote(self, vendor: Vendor, *order: Any) -> Quote:
        self.vendor_ids.add(vendor.vendor_id)
        answer = self.answers[vendor.vendor_id]
        if isinstance(answer, VendorError):
            raise answer
        return answer


def ask(
    prices: PriceList,
    rules: Policy = Policy(),  # noqa: B008
    changed: Callable[[PayeeChanged, Vendor], None] | None = None,
) -> list[QuoteResult]:
    world = Workshop()
    return quotes_of(world.run, VENDORS, 0, rules, replace(world.ports, vendor_api=cast("Any", prices)), changed)


def test_each_vendor_has_its_quote_or_why_it_has_none() -> None:
    silent = VendorError("no answer in time")
    first, second, third = ask(PriceList(a=quote(5, "a"), b=silent, c=quote(7, "c", pay_to=ANOTHER_PAYEE)))
    assert (first.quote and first.quote.amount, first.error) == (5, None)
    assert second == (None, silent)
    assert third.quote is None
    assert isinstance(third.error, PayeeChanged)


def test_a_halted_vendor_is_not_asked() -> None:
    rules = Policy(halts=(Halt("vendor", "b", "ada", "it lies"),))
    prices = PriceList(a=quote(5, "a"), b=quote(1, "b"), c=quote(7, "c"))
    results = ask(prices, rules)
    assert prices.vendor_ids == {"a", "c"}
    assert results[1].quote is None
    assert isinstance(results[1].error, PolicyRefused)
    assert str(results[1].error) == "not asked: ada halted vendor b: it lies"


def test_a_quote_that_lasts_for_ever_counts_for_thirty_days() -> None:
    """Until it has expired, what is reserved for it counts against the caps."""
    endless, short, _ = ask(
        PriceList(a=quote(5, "a", expires_at=1e12), b=quote(5, "b", expires_at=1_060.0), c=quote(5, "c"))
    )
    assert endless.quote
    assert endless.quote.expires_at == 1_000.0 + QUOTE_LIFE_MAX_S
    assert short.quote
    assert short.quote.expires_at == 1_060.0


def test_a_refused_token_is_an_error_where_no_vendor_quotes_alone() -> None:
    """And of a changed payee is told all the same."""
    payees = []
    with pytest.raises(VendorUnauthorized):
        ask(
            PriceList(a=REFUSAL, b=VendorError("silent"), c=quote(7, "c", pay_to=ANOTHER_PAYEE)),
            changed=lambda error, vendor: payees.append(vendor.vendor_id),
        )
    assert payees == ["c"]
    assert ask(PriceList(a=REFUSAL, b=quote(5, "b"), c=REFUSAL))[1].quote
