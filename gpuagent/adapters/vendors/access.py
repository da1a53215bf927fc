"""The token and the poll URL that some vendors answer a paid order with: as secret as a payment, and bounded."""

from collections.abc import Mapping
from typing import Any

from gpuagent.adapters.vendors.calls import NESTS, POLLS, TOKENS, own_url
from gpuagent.core.model import JobAccess, Vendor

TOKEN_MAX = 4_000


def read_access(
    vendor: Vendor, answer: Mapping[str, Any], tokens: tuple[str, ...] = TOKENS, polls: tuple[str, ...] = POLLS
) -> JobAccess:
    """What the answer gives to reach the job by. A poll URL on another origin is none: no token goes there."""
    places = (answer, *(nest for name in NESTS if isinstance(nest := answer.get(name), Mapping)))
    texts = [place.get(name) for place in places for name in tokens]
    token = next((text for text in texts if isinstance(text, str) and _is_token(text)), "")
    urls = [place.get(name) for place in places for name in polls]
    url = next((own for text in urls if isinstance(text, str) and (own := own_url(vendor, text))), "")
    return JobAccess(token, url)


def _is_token(text: str) -> bool:
    return 0 < len(text) <= TOKEN_MAX and text.isascii() and text.isprintable() and " " not in text
