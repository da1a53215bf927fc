"""Requests made without httpx: the bytes are those that it sends."""

from typing import Any

import httpcore
import httpx
import pytest

from gpuagent.wire.core_requests import json_request, of_httpx

EXTENSIONS = {"timeout": {"read": 5.0}}
URLS = (
    "http://127.0.0.1:8080/quote",
    "https://vendor.example",
    "https://vendor.example:443/a b/%20/ü?key=1&key=2#end",
    "http://[::1]:81/x?",
    "HTTPS://Vendor.Example:8443/v1/?q=a+b",
    "https://bücher.example/jobs/1",
)
BODIES: tuple[Any, ...] = (None, {}, [], 0, False, "ü", {"goal": "Größe", "hours": 1.5, "nested": [{"a": None}]})
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer t", "x-vendor-id": "v"},
    {"content-type": "application/vnd.x+json", "CONTENT-LENGTH": "2"},
)


@pytest.mark.parametrize("params", [None, {}, {"vendorJobId": "a b&c", "after": ""}])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_what_is_sent_is_what_httpx_sends(method: str, params: dict[str, str] | None) -> None:
    for url in URLS:
        for body in BODIES:
            for headers in HEADERS:
                theirs = of_httpx(
                    httpx.Request(method, url, headers=headers, json=body, params=params, extensions=EXTENSIONS)
                )
                ours = json_request(method, url, headers, body, params, EXTENSIONS)
                assert _sent(ours) == _sent(theirs), (url, body, headers)


def test_no_url_and_no_json_are_errors_as_of_httpx() -> None:
    with pytest.raises(httpx.InvalidURL):
        json_request("GET", "http://vendor.example:port", {}, None, None, EXTENSIONS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_request("POST", "http://vendor.example", {}, {"loss": float("nan")}, None, EXTENSIONS)
    with pytest.raises(ValueError, match="ascii"):
        json_request("GET", "http://vendor.example", {"Authorization": "Bearer ü"}, None, None, EXTENSIONS)


def _sent(request: httpcore.Request) -> tuple[Any, ...]:
    assert isinstance(request.stream, httpcore._models.ByteStream | httpx.SyncByteStream)
    first, *rest = request.headers
    return request.method, request.url, first, sorted(rest), b"".join(request.stream), request.extensions
