"""The port Discovery over HTTP: bounded, without a token, and never into this machine's own network."""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from gpuagent.adapters.discovery.addresses import check_typed, is_local, may_be_asked, server_of
from gpuagent.adapters.discovery.lists import read_list
from gpuagent.adapters.discovery.offers import unpaid_answer
from gpuagent.adapters.discovery.well_known import declarations
from gpuagent.core.listings import Declaration, Listing, ListReading, UnpaidAnswer
from gpuagent.core.text import clean
from gpuagent.errors import OfferInvalid, VendorError, VendorUnauthorized
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply
from gpuagent.wire.egress import Egress
from gpuagent.wire.transport import deadline

PAGE_MAX = 4 * 1024 * 1024
"""Bytes of one page of a list."""
PAGE_S, LIST_S, SELLER_S = 10.0, 30.0, 8.0
"""Seconds for a page, for a list with all its pages, and for a seller."""
WELL_KNOWN = ("/.well-known/x402", "/.well-known/x402.json")
ORDER_MAX = 16 * 1024
"""Bytes of a declared order."""


class HttpDiscovery:
    """Asks lists and sellers. egress: the way to lists. vendor_egress: the way to sellers."""

    def __init__(self, egress: Egress | None = None, vendor_egress: Egress | None = None) -> None:
        # By whether the URL is on this machine: a public name that stands for a private address is not connected to.
        self._lists, self._sellers = (
            {local: BoundedHttp(seconds, size, way, public_only=not local) for local in (False, True)}
            for seconds, size, way in ((PAGE_S, PAGE_MAX, egress), (SELLER_S, 64 * 1024, vendor_egress))
        )

    def close(self) -> None:
        for client in (*self._lists.values(), *self._sellers.values()):
            client.close()

    def listings(self, list_url: str, query: str) -> ListReading:
        check_typed(list_url, "a list")
        with deadline(LIST_S):
            return read_list(list_url, query, self._lists[is_local(list_url)])

    def unpaid(self, listing: Listing) -> UnpaidAnswer:
        if not may_be_asked(listing.resource, local=is_local(listing.source)):
            raise VendorError("its URL is not asked")
        reply = self._ask(listing.method, listing.resource, _order(listing) if listing.method == "POST" else None)
        if reply.status in (401, 403) or (reply.status == 402 and _wants_bearer(reply)):
            raise VendorUnauthorized(f"it answered {reply.status}: what it wants is said to who has its secret")
        if reply.status != 402:
            raise OfferInvalid(f"it answered {reply.status} instead of 402")
        return unpaid_answer(reply)

    def declarations(self, url: str) -> Sequence[Declaration]:
        base = check_typed(url, "a vendor")
        places = dict.fromkeys((base, server_of(base)) if urlsplit(base).path else (base,))
        for place in places:
            for path in WELL_KNOWN:
                reply = self._ask("GET", place + path)
                if reply.status == 200:
                    return declarations(reply.body, base)
        return ()

    def _ask(self, method: str, url: str, body: bytes | None = None) -> Reply:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            return self._sellers[is_local(url)].request(method, url, headers=headers, content=body)
        except HttpFailed as error:
            raise VendorError(f"it does not answer: {clean(str(error), 200)}") from error


def _wants_bearer(reply: Reply) -> bool:
    """Whether a 402 names no price, and asks for a token instead."""
    scheme = reply.headers.get("www-authenticate", "").strip().lower()
    return scheme.startswith("bearer") and "payment-required" not in reply.headers and b"accepts" not in reply.body


def _order(listing: Listing) -> bytes:
    """The declared example of an order. Raises VendorError for one that is no example."""
    try:
        order = json.dumps(dict(listing.body), default=float, allow_nan=False).encode()
    except (ValueError, OverflowError) as error:
        raise VendorError("the order that it declares has numbers that cannot be") from error
    if len(order) > ORDER_MAX:
        raise VendorError(f"the order that it declares is larger than {ORDER_MAX} bytes")
    return order
