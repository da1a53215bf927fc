"""The secrets in a request: in its URL, its headers, its signed payment. A Scrubber looks for them in the answer."""

import re
from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from gpuagent.core.text import SECRET_MIN
from gpuagent.wire.scrub import KEY, PART_MAX, PAYMENT, TOKEN

_SECRET_HEADER = re.compile(r"auth|token|key|secret|signature|cookie|payment", re.IGNORECASE)
URLS_KEPT = 256
"""URLs whose secrets are remembered."""
HEADERS_KEPT = 64
"""Payments whose parts are remembered: each is looked for in all that its vendor says next."""
_NOT_SECRET = ("idempotency-key", "payment-required", "payment-response")


def secrets_sent(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The secrets in a request: in its URL (user, password, parts that look like keys) and in its headers."""
    secrets = dict(url_secrets(url))
    for name, value in headers.items():
        if not _SECRET_HEADER.search(name) or name.lower() in _NOT_SECRET:
            continue
        if "payment" in name.lower():
            secrets |= payment_secrets(value)
            continue
        credentials = value.rpartition(" ")[2]
        secrets |= {value: TOKEN, credentials: TOKEN}
        if value.lower().startswith("basic "):
            secrets |= dict.fromkeys(_decoded(credentials).partition(":")[::2], TOKEN)
    return secrets


@lru_cache(maxsize=URLS_KEPT)
def url_secrets(url: str) -> Mapping[str, str]:
    """The user and the password in a URL, and those parts of its path and query that look like keys.

    A user of MongoDB is a name, and may be a word of every other text, such as gpuagent.
    """
    try:
        parts = urlsplit(url)
        user = [parts.password or "", *([] if parts.scheme.startswith("mongodb") else [parts.username or ""])]
    except ValueError:
        return MappingProxyType({url: KEY})
    values = [pair.rpartition("=")[2] for pair in parts.query.split("&")]
    keys = [value for value in (*parts.path.split("/"), *values, parts.fragment) if _looks_like_a_key(value)]
    return MappingProxyType({secret: KEY for text in (*user, *keys) for secret in (text, unquote(text))})


@lru_cache(maxsize=HEADERS_KEPT)
def payment_secrets(header: str) -> Mapping[str, str]:
    """A payment's header and the signature in it."""
    signatures = re.findall(r'"signature"\s*:\s*"(?:0x)?([0-9a-fA-F]{64,})"', _decoded(header))
    return MappingProxyType(dict.fromkeys((header, *signatures), PAYMENT))


def _looks_like_a_key(text: str) -> bool:
    return len(text) >= PART_MAX or (len(text) >= SECRET_MIN and any(character.isdigit() for character in text))


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        return ""
