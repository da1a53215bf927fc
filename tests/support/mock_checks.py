"""The table of checks, one per fault, of how the fault reaches a buyer; and the steps that checks share."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, header_json, new_key

Check = Callable[[Buyer], None]
CHECKS: dict[str, Check] = {}
QUOTE = {"jobType": "train", "gpuType": "A100", "maxHours": 1}


def sees(name: str) -> Callable[[Check], Check]:
    """Register the decorated check: it is called with the fault on."""

    def register(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return register


def offer_of(buyer: Buyer) -> dict[str, Any]:
    challenge = buyer.submit(buyer.quote_id(), new_key())
    assert challenge.status_code == 402
    [offer] = header_json(challenge.headers["PAYMENT-REQUIRED"])["accepts"]
    return dict(offer)


def start_paying(buyer: Buyer) -> tuple[str, str, str]:
    """A quote, a key and a signed payment that is not sent yet."""
    quote_id, key = buyer.quote_id(), new_key()
    return quote_id, key, buyer.payment_for(buyer.submit(quote_id, key))


def paid_whatever_it_says(buyer: Buyer, check: Callable[[Callable[[], httpx.Response]], None]) -> None:
    """Check that there is one transfer under the fault, and that the same bytes get the job once the fault is off."""
    quote_id, key, header = start_paying(buyer)
    transfers = len(buyer.transfers())
    check(lambda: buyer.submit(quote_id, key, header))
    eventually(lambda: len(buyer.transfers()) == transfers + 1)
    buyer.control("DELETE", "faults")
    healed = buyer.submit(quote_id, key, header)
    assert healed.status_code == 200
    assert header_json(healed.headers["PAYMENT-RESPONSE"])["success"] is True
    assert buyer.status(healed.json()["vendorJobId"]).status_code == 200
    assert len(buyer.transfers()) == transfers + 1


def expect(fact: bool) -> None:
    assert fact


def follow(buyer: Buyer, answer: httpx.Response) -> None:
    """Follow a redirect as a careless client does, and check what the other host has received."""
    request_count = len(buyer.control("GET", "lured")["requests"])
    assert answer.next_request is not None
    request = answer.next_request
    request.headers["PAYMENT-SIGNATURE"] = "signed"
    buyer.http.send(request)
    [lured] = buyer.control("GET", "lured")["requests"][request_count:]
    assert lured["method"] == "POST"
    assert "payment-signature" in lured["secrets"]
