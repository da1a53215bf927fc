"""x402 version 2, scheme `exact`, EIP-3009 only: strict reading of a 402, and the header that answers it.

The SDK gives types, signing data and encoding. Its paying clients are not used: they choose nonces, deadlines and
payees by themselves. Specification: https://github.com/coinbase/x402 (specs), https://eips.ethereum.org/EIPS/eip-3009.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm import (
    AUTHORIZATION_TYPES,
    ExactEIP3009Authorization,
    ExactEIP3009Payload,
    TypedDataDomain,
    build_typed_data_for_signing,
)
from x402.schemas import PaymentPayload, PaymentRequirements

from gpuagent.core.model import Authorization, Challenge, Terms, Token
from gpuagent.errors import OfferInvalid
from gpuagent.wire import strict_json

# As in x402.extensions.payment_identifier, repeated because importing that package takes over two seconds.
PAYMENT_IDENTIFIER = "payment-identifier"
IDENTIFIER_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "required": {"type": "boolean"},
        "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"},
    },
    "required": ["required"],
}
PAYMENT_TYPES: dict[str, list[dict[str, str]]] = AUTHORIZATION_TYPES
"""The EIP-712 type that the payer signs."""
HEADER_MAX = 16 * 1024
ACCEPTS_MAX = 32
REASONS = ("errorReason", "errorMessage", "error")
"""Fields of the headers in which a refused payment is explained."""


def decode_challenge(header: str) -> Challenge:
    """The 402 in a PAYMENT-REQUIRED header. Entries that are malformed are left out. Raises OfferInvalid."""
    if len(header) > HEADER_MAX:
        raise OfferInvalid(f"the 402 offer is larger than {HEADER_MAX} bytes")
    try:
        data = strict_json.parse(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError) as error:
        raise OfferInvalid(f"the 402 offer is not base64 of JSON: {type(error).__name__}") from error
    if not isinstance(data, dict) or type(data.get("x402Version")) is not int or data["x402Version"] != 2:
        raise OfferInvalid("the 402 offer is not x402 version 2")
    accepts = data.get("accepts")
    if not isinstance(accepts, list):
        raise OfferInvalid("the 402 offer accepts nothing")
    terms = [offer for entry in accepts[:ACCEPTS_MAX] if (offer := _terms(entry))]
    return Challenge(tuple(terms), _wants_identifier(data.get("extensions")))


def refusal(headers: Mapping[str, str]) -> str:
    """The reasons that a seller's x402 headers give for not taking a payment, as sent: untrusted; "" for none."""
    texts: list[str] = []
    for name in ("payment-response", "payment-required"):
        answer = _header_object(headers.get(name, ""))
        texts += [text for field in REASONS if isinstance(text := answer.get(field), str) and text]
    return ": ".join(dict.fromkeys(texts))


def _header_object(header: str) -> dict[str, Any]:
    """The JSON object in a header; {} where there is none that can be read."""
    if len(header) > HEADER_MAX:
        return {}
    try:
        data = strict_json.parse(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


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


def _wants_identifier(extensions: object) -> bool:
    declared = extensions.get(PAYMENT_IDENTIFIER) if isinstance(extensions, dict) else None
    info = declared.get("info") if isinstance(declared, dict) else None
    if isinstance(info, dict) and "id" in info:
        raise OfferInvalid("the 402 offer fills in the payment identifier, which is ours to choose")
    return declared is not None


def typed_data(
    authorization: Authorization, token: Token
) -> tuple[TypedDataDomain, dict[str, list[dict[str, str]]], str, dict[str, Any]]:
    """EIP-712 domain, types, primary type and message of the authorization: what a wallet signs."""
    return build_typed_data_for_signing(
        _eip3009(authorization), token.chain_id, token.address, token.name, token.version
    )


def encode_payment(authorization: Authorization, signature: str, terms: Terms, identifier: str) -> str:
    """The PAYMENT-SIGNATURE header value. Of the vendor's text only the matched terms are echoed.

    identifier: declared as x402 payment identifier, unless "". It is built here: a vendor may have filled in its own.
    """
    extensions: dict[str, Any] | None = None
    if identifier:
        info = {"required": False, "id": identifier}
        extensions = {PAYMENT_IDENTIFIER: {"info": info, "schema": IDENTIFIER_SCHEMA}}
    payload = PaymentPayload(
        payload=ExactEIP3009Payload(_eip3009(authorization), signature).to_dict(),
        accepted=PaymentRequirements(
            scheme=terms.scheme,
            network=terms.network,
            asset=terms.asset,
            amount=terms.amount,
            pay_to=terms.pay_to,
            max_timeout_seconds=terms.max_timeout_s,
            extra=dict(terms.extra),
        ),
        extensions=extensions,
    )
    return encode_payment_signature_header(payload)


def _eip3009(authorization: Authorization) -> ExactEIP3009Authorization:
    return ExactEIP3009Authorization(
        from_address=authorization.payer,
        to=authorization.payee,
        value=str(authorization.amount),
        valid_after="0",
        valid_before=str(authorization.valid_before),
        nonce=authorization.nonce,
    )
