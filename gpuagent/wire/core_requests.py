"""Requests as httpcore has them: of httpx, or made without it where the body is JSON or nothing, as most are.

The bytes are those that httpx sends. To make one of its requests takes as long as a third of an exchange.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpcore
import httpx

URLS_KEPT = 256
"""URLs whose parts are remembered: of vendors and nodes the same few are asked for again and again."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def of_httpx(request: httpx.Request) -> httpcore.Request:
    """An httpx request as httpcore's."""
    assert isinstance(request.stream, httpx.SyncByteStream)
    return httpcore.Request(
        method=request.method,
        url=_parts(request.url)[0],
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def json_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: object,
    params: Mapping[str, str] | None,
    extensions: Mapping[str, Any],
) -> httpcore.Request:
    """A request with a value as its JSON, without a body for None. params: in place of the URL's query.

    Raises httpx.InvalidURL, and ValueError for what is no JSON or cannot be in a header.
    """
    target, host = _known_parts(url) if params is None else _parts(httpx.URL(url, params=params))
    content = b"" if body is None else _encoded(body)
    described = {} if body is None else {"Content-Length": str(len(content)), "Content-Type": "application/json"}
    if body is None and method in ("POST", "PUT", "PATCH"):
        described = {"Content-Length": "0"}
    own_names = {name.lower() for name in headers}
    all_headers = {**headers, **{name: value for name, value in described.items() if name.lower() not in own_names}}
    raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in all_headers.items()]
    return httpcore.Request(
        method, target, headers=[(b"Host", host), *raw], content=content, extensions=dict(extensions)
    )


def _encoded(body: object) -> bytes:
    return _JSON.encode(body).encode()


def _parts(url: httpx.URL) -> tuple[httpcore.URL, bytes]:
    """The URL as httpcore has it, and its host as a header."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path), url.netloc


@lru_cache(maxsize=URLS_KEPT)
def _known_parts(url: str) -> tuple[httpcore.URL, bytes]:
    return _parts(httpx.URL(url))
