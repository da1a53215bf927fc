"""Who calls, and which vendor is meant: what every route of the vendor API asks first."""

import math
import secrets
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.base import SecurityBase

from seller.api.answers import Refusal
from seller.api.body_limit import BODY_BYTES
from seller.api.wire import ErrorAnswer
from seller.catalogue import Vendor
from seller.shop import Shop, TheShop

ERRORS = {
    400: "malformed request, Idempotency-Key or PAYMENT-SIGNATURE",
    401: "the bearer token is missing or wrong",
    402: "payment required: PAYMENT-REQUIRED says how, and the body repeats it",
    403: "the seller does not know this payer, and sells to those alone that it knows",
    404: "no such vendor, quote, job or file",
    409: "the Idempotency-Key or the authorization has bought something else, or the order is not what was quoted",
    410: "the quote has expired",
    413: "an input that is larger than any that is taken, or than it was said to be",
    416: "a range that begins behind the file's end",
    422: "the request does not fit the contract, the GPU is not offered, or inputs are missing or differ",
    429: "too many requests of one address, or too many bytes of inputs: wait for Retry-After seconds",
    503: "outcome unknown, vendor down or store full: send the same request again after Retry-After seconds",
}
bearer = HTTPBearer(auto_error=False)


class Visit(NamedTuple):
    """A request that is let in, and the vendor that it is for."""

    shop: Shop
    vendor: Vendor


class Door(SecurityBase):
    """Lets in whoever has the token, and asks for no more than it may. paces: whether requests are counted.

    It is one dependency, for FastAPI takes as long for each as for the rest of a route.
    """

    model, scheme_name = bearer.model, bearer.scheme_name

    def __init__(self, *, paces: bool = False) -> None:
        self._paces = paces

    async def __call__(
        self, request: Request, x_vendor_id: Annotated[str, Header(description="which vendor is meant")] = ""
    ) -> Visit:
        shop: Shop = request.app.state.shop
        if self._paces:
            _pace(shop, request)
        await authorized(shop, await bearer(request))
        return Visit(shop, _addressed(shop, x_vendor_id))


async def authorized(
    shop: TheShop,
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Raises Refusal for another token than the shop's."""
    presented = token.credentials if token is not None else ""
    if shop.secret and not secrets.compare_digest(presented.encode(), shop.secret.encode()):
        raise Refusal(401, "unauthorized", "the bearer token is missing or wrong")


def _addressed(shop: Shop, vendor_id: str) -> Vendor:
    sole = next(iter(shop.vendors)) if len(shop.vendors) == 1 else ""
    vendor = shop.vendors.get(vendor_id or sole)
    if vendor is None:
        raise Refusal(404, "vendor_unknown", f"x-vendor-id {vendor_id!r} is not a vendor here")
    return vendor


def _pace(shop: Shop, request: Request) -> None:
    """Raises Refusal for an address that asks for too much."""
    address = request.client.host if request.client else ""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdecimal() else BODY_BYTES
    wait_s = shop.limiter.requests.take(address) or shop.limiter.bytes.take(address, min(size, BODY_BYTES))
    if wait_s:
        raise Refusal(429, "too_many_requests", "ask less often", math.ceil(wait_s))


AVisit = Annotated[Visit, Depends(Door())]
APacedVisit = Annotated[Visit, Depends(Door(paces=True))]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of the errors that a route answers."""
    return {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in statuses}
