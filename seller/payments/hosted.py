"""A facilitator hosted elsewhere, over HTTP: it verifies and settles, and pays the gas.

The protocol, and open ones: https://docs.x402.org/core-concepts/facilitator.
"""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
from x402.http import FacilitatorConfig, HTTPFacilitatorClientSync
from x402.schemas import PaymentPayload, PaymentRequirements, SettleResponse, SupportedResponse, VerifyResponse
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequirementsV1

from seller.errors import BadSetting

TIMEOUT_S = 20.0
"""It waits for the chain; buyers wait for some 30 s."""
ANSWER_MAX = 2**20
"""Bytes of an answer."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class FacilitatorUnavailable(Exception):
    """The facilitator gave no answer that can be used. It may have settled all the same: only the chain knows."""


class HostedFacilitator(HTTPFacilitatorClientSync):
    """The SDK's client, of whose errors there is one kind. Every method raises FacilitatorUnavailable."""

    def __init__(self, url: str) -> None:
        # The SDK's own client would follow a redirect, and hand the buyer's signature to whoever it names.
        self._http = httpx.Client(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [_bound]},
        )
        super().__init__(FacilitatorConfig(url=url, timeout=TIMEOUT_S, http_client=self._http))

    def close(self) -> None:
        self._http.close()

    def verify(
        self, payload: PaymentPayload | PaymentPayloadV1, requirements: PaymentRequirements | PaymentRequirementsV1
    ) -> VerifyResponse:
        try:
            return super().verify(payload, requirements)
        except (httpx.HTTPError, ValueError) as error:
            raise _unavailable(error) from error

    def settle(
        self, payload: PaymentPayload | PaymentPayloadV1, requirements: PaymentRequirements | PaymentRequirementsV1
    ) -> SettleResponse:
        try:
            return super().settle(payload, requirements)
        except (httpx.HTTPError, ValueError) as error:
            raise _unavailable(error) from error

    def get_supported(self) -> SupportedResponse:
        try:
            return super().get_supported()
        except (httpx.HTTPError, ValueError) as error:
            raise _unavailable(error) from error


def open_facilitator(url: str, network: str) -> HostedFacilitator:
    """The facilitator. Raises BadSetting unless it settles x402 version 2, scheme exact, on this network."""
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in LOOPBACK:
        raise BadSetting("FACILITATOR_URL: write https://..., or others could hold payments back on the way")
    facilitator = HostedFacilitator(url)
    try:
        kinds = facilitator.get_supported().kinds
    except FacilitatorUnavailable as error:
        facilitator.close()
        raise BadSetting(f"FACILITATOR_URL: no facilitator answers there ({error})") from error
    networks = {kind.network for kind in kinds if kind.scheme == "exact" and kind.x402_version == 2}
    if network not in networks:
        facilitator.close()
        offered = ", ".join(sorted(networks)) or "nothing that x402 version 2 calls exact"
        raise BadSetting(f"FACILITATOR_URL: it does not settle on {network}, but on {offered}")
    return facilitator


class _BoundedStream(httpx.SyncByteStream):
    """The body of an answer, up to ANSWER_MAX and TIMEOUT_S. Raises httpx.ReadError beyond."""

    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        size, ends_at = 0, time.monotonic() + TIMEOUT_S
        for part in self._inner:
            size += len(part)
            if size > ANSWER_MAX or time.monotonic() > ends_at:
                raise httpx.ReadError("its answer is too long")
            yield part

    def close(self) -> None:
        self._inner.close()


def _bound(response: httpx.Response) -> None:
    """Bounds the body before any of it is read. Raises httpx.DecodingError for one that is compressed."""
    if response.headers.get("Content-Encoding", "").lower() not in ("", "identity"):
        raise httpx.DecodingError("its answer is compressed, though it was asked not to be", request=response.request)
    assert isinstance(response.stream, httpx.SyncByteStream)
    response.stream = _BoundedStream(response.stream)


def _unavailable(error: Exception) -> FacilitatorUnavailable:
    return FacilitatorUnavailable(f"{type(error).__name__}: {error}"[:200])
