"""How a buyer who checks nothing sees a fault: the table of checks, and what they share."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, header_json, new_key

Check = Callable[[Buyer], None]
CHECKS: dict[str, Check] = {}
QUOTE = {"jobType": "train", "gpuType": "A100", "maxHours": 1}


def sees(name: str) -> Callable[[Check], Check]:
    """The function below is called with the fault on."""

    def enter(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return enter


def offer_of(buyer: Buyer) -> dict[str, Any]:
    challenge = buyer.submit(buyer.quote_id(), new_key())
    assert challenge.status_code == 402
    [offer] = header_json(challenge.headers["PAYMENT-REQUIRED"])["accepts"]
    return dict(offer)


def start_paying(buyer: Buyer) -> tuple[str, str, str]:
    """A quote, a key and a signed payment that nobody has seen yet."""
    quote_id, key = buyer.quote_id(), new_key()
    return quote_id, key, buyer.signed(buyer.submit(quote_id, key))


def paid_whatever_it_says(buyer: Buyer, see: Callable[[Callable[[], httpx.Response]], None]) -> None:
    """One transfer under the fault; the same bytes get the job once the fault is off."""
    quote_id, key, header = start_paying(buyer)
    transfers = len(buyer.transfers())
    see(lambda: buyer.submit(quote_id, key, header))
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
    """What a careless client does, and what the other host then knows."""
    known = len(buyer.control("GET", "lured")["requests"])
    assert answer.next_request is not None
    request = answer.next_request
    request.headers["PAYMENT-SIGNATURE"] = "signed"
    buyer.http.send(request)
    [request_seen] = buyer.control("GET", "lured")["requests"][known:]
    assert request_seen["method"] == "POST"
    assert "payment-signature" in request_seen["secrets"]
