"""Terms as strangers write them, of x402 version 1 or 2, read with good will: nothing is paid by what is read here.

A payment is read anew, and strictly, by wire/x402.py.
"""

from collections.abc import Mapping
from typing import Any

from gpuagent.core.listings import UnpaidAnswer
from gpuagent.core.model import Terms
from gpuagent.core.networks import caip2_of
from gpuagent.core.text import clean
from gpuagent.errors import OfferInvalid
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import Reply
from gpuagent.wire.header_json import header_json

DEPTH_MAX = 128
"""Levels of nesting in a stranger's document: declared schemas are deep."""
OFFERS_MAX = 16
FIELDS_MAX = 64
WORD_MAX = 80
HEADER_MAX = 64 * 1024
BAZAAR = "bazaar"
"""The x402 extension that declares a resource's input and output."""


def offers_in(entries: object) -> tuple[Terms, ...]:
    """The terms in `accepts`. Entries that are none are left out."""
    listed = entries[:OFFERS_MAX] if isinstance(entries, list) else []
    return tuple(terms for entry in listed if (terms := _terms(entry)))


def declared_input(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `input` that a listing or a 402 declares in its Bazaar extension, or in version 1 in its first offer."""
    if declared := _at(document, "extensions", BAZAAR, "info", "input"):
        return declared
    accepts = document.get("accepts")
    first = _object(accepts[0]) if isinstance(accepts, list) and accepts else {}
    return _at(first, "outputSchema", "input")


def declared_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in the declared order: of its example, of version 1's bodyFields, and of its JSON schema."""
    declared = declared_input(document)
    body = _at(document, "extensions", BAZAAR, "schema", "properties", "input", "properties", "body")
    names: list[object] = []
    for part in (declared.get("body"), declared.get("bodyFields"), body.get("properties")):
        names += list(_object(part))
    texts = [clean(name, WORD_MAX) for name in names if isinstance(name, str)]
    return tuple(dict.fromkeys(texts))[:FIELDS_MAX]


def unpaid_answer(reply: Reply) -> UnpaidAnswer:
    """The offer in a 402: in its PAYMENT-REQUIRED header, else in its body. Raises OfferInvalid."""
    header = reply.headers.get("payment-required", "")
    if len(header) > HEADER_MAX:
        raise OfferInvalid(f"its 402 offer is larger than {HEADER_MAX} bytes")
    try:
        document = strict_json.parse(header_json(header) if header else reply.body, depth_max=DEPTH_MAX)
    except ValueError as error:  # binascii.Error is one
        raise OfferInvalid("its 402 has no offer that can be read") from error
    version = document.get("x402Version") if isinstance(document, dict) else None
    if type(version) is not int or version not in (1, 2):
        raise OfferInvalid("its 402 is of no version of x402 that is known")
    return UnpaidAnswer(version, offers_in(document.get("accepts")), declared_fields(document))


def _terms(entry: object) -> Terms | None:
    terms = _object(entry)
    amount = terms.get("amount", terms.get("maxAmountRequired"))
    network, asset, pay_to = terms.get("network"), terms.get("asset"), terms.get("payTo")
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = str(amount) if 0 <= amount < 10**30 else ""
    if not isinstance(amount, str) or not isinstance(network, str):
        return None
    if not isinstance(asset, str) or not isinstance(pay_to, str):
        return None
    scheme, life, extra = terms.get("scheme"), terms.get("maxTimeoutSeconds"), terms.get("extra")
    return Terms(
        scheme=clean(scheme, WORD_MAX) if isinstance(scheme, str) else "",
        network=caip2_of(clean(network, WORD_MAX)),
        asset=clean(asset, WORD_MAX),
        amount=clean(amount, WORD_MAX),
        pay_to=clean(pay_to, WORD_MAX),
        max_timeout_s=life if type(life) is int else 0,
        extra=_object(extra),
    )


def _at(document: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The object at the end of a path of names; {} where there is none."""
    value: object = document
    for name in path:
        value = _object(value).get(name)
    return _object(value)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
