"""The 402 of a seller, read strictly: from header or body, of version 2 or, where its record says so, 1.

Nothing about money is guessed: an entry of another type is left out, and another version than the recorded one is no
offer. What is to be repeated to the seller (`resource`, `extensions`) is kept as inert data, and only so much of it.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from x402.schemas import PaymentRequirements, ResourceInfo
from x402.schemas.v1 import PaymentRequirementsV1

from gpuagent.core.model import Challenge, Echo, Terms
from gpuagent.core.networks import V1_NETWORKS
from gpuagent.errors import OfferInvalid
from gpuagent.wire import strict_json
from gpuagent.wire.header_json import header_json
from gpuagent.wire.x402 import HEADER_MAX, PAYMENT_IDENTIFIER

ACCEPTS_MAX = 32
BODY_MAX = 64 * 1024
ECHO_MAX = 4 * 1024
"""Bytes of `resource` and of all extensions together that are repeated. What does not fit is left out."""
INERT = ("bazaar",)
"""Extensions that are repeated: they describe the seller to those that list sellers. One that is not known may ask for
more than that to be signed, such as an allowance, and is left out."""


def read_challenge(headers: Mapping[str, str], body: bytes, version: int = 2) -> Challenge:
    """The 402 of a seller that is recorded with this version of x402. Raises OfferInvalid.

    In version 2 the header PAYMENT-REQUIRED counts, and the body only where there is none; version 1 has only the body.
    """
    header = headers.get("payment-required", "")
    if version == 1:
        return _challenge(_parsed(body), 1)
    if header:
        return decode_challenge(header)
    data = _parsed(body) if body.strip() else None
    if not isinstance(data, dict) or "x402Version" not in data:
        raise OfferInvalid("the 402 comes without PAYMENT-REQUIRED, and its body is no offer")
    return _challenge(data, 2)


def decode_challenge(header: str) -> Challenge:
    """The 402 in a PAYMENT-REQUIRED header. Entries that are malformed are left out. Raises OfferInvalid."""
    if len(header) > HEADER_MAX:
        raise OfferInvalid(f"the 402 offer is larger than {HEADER_MAX} bytes")
    try:
        content = header_json(header)
    except ValueError as error:  # binascii.Error is one
        raise OfferInvalid(f"the 402 offer is not base64 of JSON: {type(error).__name__}") from error
    return _challenge(_parsed(content, "base64 of JSON"), 2)


def _parsed(content: bytes, form: str = "JSON") -> Any:
    if len(content) > BODY_MAX:
        raise OfferInvalid(f"the 402 offer is larger than {BODY_MAX} bytes")
    try:
        return strict_json.parse(content)
    except ValueError as error:
        raise OfferInvalid(f"the 402 offer is not {form}: {type(error).__name__}") from error


def _challenge(data: Any, version: int) -> Challenge:
    number = data.get("x402Version") if isinstance(data, dict) else None
    if type(number) is not int or number != version:
        is_downgrade = number in (1, 2) and number != version
        contrast = f", but {number}, and the vendor is recorded with {version}" if is_downgrade else ""
        raise OfferInvalid(f"the 402 offer is not x402 version {version}{contrast}")
    accepts = data.get("accepts")
    if not isinstance(accepts, list):
        raise OfferInvalid("the 402 offer accepts nothing")
    read = _terms_v1 if version == 1 else _terms
    terms = [offer for entry in accepts[:ACCEPTS_MAX] if (offer := read(entry))]
    if version == 1:
        return Challenge(tuple(terms))
    wants_identifier, echo = _wants_identifier(data.get("extensions")), _echo(data)
    return Challenge(tuple(replace(offer, echo=echo) for offer in terms), wants_identifier)


def _terms(entry: object) -> Terms | None:
    try:
        offer = PaymentRequirements.model_validate(entry, strict=True)
    except ValidationError:
        return None
    return Terms(
        scheme=offer.scheme,
        network=offer.network,
        asset=offer.asset,
        amount=offer.amount,
        pay_to=offer.pay_to,
        max_timeout_s=offer.max_timeout_seconds,
        extra=offer.extra,
    )


def _terms_v1(entry: object) -> Terms | None:
    try:
        offer = PaymentRequirementsV1.model_validate(entry, strict=True)
    except ValidationError:
        return None
    return Terms(
        scheme=offer.scheme,
        network=V1_NETWORKS.get(offer.network, f"{offer.network} (of version 1)"),
        asset=offer.asset,
        amount=offer.max_amount_required,
        pay_to=offer.pay_to,
        max_timeout_s=offer.max_timeout_seconds,
        extra=offer.extra or {},
        echo=Echo(version=1, network=offer.network),
    )


def _wants_identifier(extensions: object) -> bool:
    if "id" in _identifier_info(extensions):
        raise OfferInvalid("the 402 offer fills in the payment identifier, which is ours to choose")
    return isinstance(extensions, dict) and extensions.get(PAYMENT_IDENTIFIER) is not None


def _identifier_info(extensions: object) -> dict[str, Any]:
    declared = extensions.get(PAYMENT_IDENTIFIER) if isinstance(extensions, dict) else None
    info = declared.get("info") if isinstance(declared, dict) else None
    return info if isinstance(info, dict) else {}


def _echo(data: Mapping[str, Any]) -> Echo:
    """The resource, and the inert extensions, as far as they fit; and that the seller takes no payment without an id.

    A seller refuses an extension that comes back without all that it said in it.
    """
    room, resource, extensions = ECHO_MAX, data.get("resource"), data.get("extensions")
    if not isinstance(resource, dict) or not _is_resource(resource) or (size := _size(resource)) > room:
        resource, size = {}, 0
    room -= size
    inert: dict[str, Any] = {}
    for name, value in extensions.items() if isinstance(extensions, dict) else ():
        if name in INERT and (size := _size({name: value})) <= room:
            inert[name], room = _plain(value), room - size
    if _identifier_info(extensions).get("required") is True:
        inert[PAYMENT_IDENTIFIER] = {"info": {"required": True}}
    return Echo(2, resource=_plain(resource), extensions=inert)


def _is_resource(value: Any) -> bool:
    try:
        ResourceInfo.model_validate(value, strict=True)
    except ValidationError:
        return False
    return True


def _plain(value: Any) -> Any:
    """The value with floats for decimals, as a JSON writer takes it."""
    return json.loads(json.dumps(value, default=float))


def _size(value: object) -> int:
    """Bytes; more than fit where there are halves of surrogate pairs in it, which no header can repeat."""
    try:
        return len(json.dumps(value, default=float, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return ECHO_MAX + 1
