"""Web pages that call the server: those of allowed origins, and what no page of another origin can make a browser send.

A page can send requests to this machine, unasked and without reading the answers. Where no token protects the server,
three checks do, each by itself: Host is a loopback name (else a name was made to mean this machine); Origin and
Sec-Fetch-Site speak of no other origin; and what changes something is a POST of JSON, which a browser sends for a page
of another origin only after it has asked the server.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from fastapi.requests import HTTPConnection
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gpuagent.core.text import shown
from gpuagent.errors import ConfigError
from gpuagent.wire.loopback import is_loopback

ORIGINS = "GPUAGENT_API_ORIGINS"
JSON = "application/json"
REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID")
RESPONSE_HEADERS = ("Idempotency-Replayed", "Retry-After", "WWW-Authenticate")
_JSON = re.compile(r"application/(?:[a-z0-9.-]+\+)?json", re.ASCII)
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


def read_origins(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The origins of GPUAGENT_API_ORIGINS, none unless it is set. Raises ConfigError."""
    origins = tuple(filter(None, map(str.strip, environ.get(ORIGINS, "").split(","))))
    for number, origin in enumerate(origins, 1):
        if not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin):
            raise ConfigError(
                f"{ORIGINS}: entry {number}, {shown(origin)}, is no origin: write each as a browser does, in small "
                "letters, without a path and without :80 or :443, as https://ops.example or http://localhost:5173; "
                "* is not taken"
            )
    return origins


def with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application, whose answers pages of these origins may read. Browsers send it no cookies: it knows none."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "PUT"),
        allow_headers=REQUEST_HEADERS,
        expose_headers=RESPONSE_HEADERS,
    )


def is_from_own_pages(http: HTTPConnection, origins: Sequence[str]) -> bool:
    """Whether a request came to a loopback name, and from no web page but ours and those of loopback origins here."""
    host, origin = http.headers.get("host", ""), http.headers.get("origin")
    if not _is_loopback_netloc(host):
        return False
    if origin is None:  # of programs, and of what a page embeds or links
        return http.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    netloc = origin.partition("://")[2]
    return netloc == host or (origin in origins and _is_loopback_netloc(netloc))


def is_simple(http: HTTPConnection) -> bool:
    """Whether a browser would send the request for a page of any origin without asking: not a PUT, nor JSON's POST."""
    if http.scope.get("method") == "PUT":
        return False
    media_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    return http.scope.get("method") != "POST" or not _JSON.fullmatch(media_type)


def _is_loopback_netloc(netloc: str) -> bool:
    try:
        return "@" not in netloc and is_loopback(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:  # such as "[::1"
        return False
