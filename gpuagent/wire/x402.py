"""x402, scheme `exact`, EIP-3009 only: the header that pays, in version 2 or 1, and what a seller's headers say of it.

What a 402 asks for is read in offers.py. The SDK gives types, signing data and encoding. Its paying clients are not
used: they choose nonces, deadlines and payees by themselves. Specification: https://github.com/coinbase/x402 (specs),
https://eips.ethereum.org/EIPS/eip-3009.
"""

from collections.abc import Mapping
from typing import Any

from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm import (
    AUTHORIZATION_TYPES,
    ExactEIP3009Authorization,
    ExactEIP3009Payload,
    TypedDataDomain,
    build_typed_data_for_signing,
)
from x402.schemas import PaymentPayload, PaymentRequirements, ResourceInfo
from x402.schemas.v1 import PaymentPayloadV1

from gpuagent.core.model import Authorization, Receipt, Terms, Token
from gpuagent.core.text import clean
from gpuagent.wire import strict_json
from gpuagent.wire.header_json import header_json
from gpuagent.wire.recursion import bound_recursion

bound_recursion()

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
PAID_MAX = 64 * 1024
"""Bytes of a header of our own, which repeats the terms."""
WORD_MAX = 100
REASONS = ("errorReason", "errorMessage", "error")
"""Fields of the headers in which a refused payment is explained."""
RECEIPTS = ("payment-response", "x-payment-response")
"""The headers of a receipt, in version 2 and in version 1."""
PAYMENT_HEADERS = {1: "X-PAYMENT", 2: "PAYMENT-SIGNATURE"}


def refusal(headers: Mapping[str, str]) -> str:
    """The reasons that a seller's x402 headers give for not taking a payment, as sent: untrusted; "" for none."""
    texts: list[str] = []
    for name in (*RECEIPTS, "payment-required"):
        answer = _header_object(headers.get(name, ""))
        texts += [text for field in REASONS if isinstance(text := answer.get(field), str) and text]
    return ": ".join(dict.fromkeys(texts))


def receipt(headers: Mapping[str, str]) -> Receipt | None:
    """The seller's word on the payment, None where it gives none that can be read."""
    for name in RECEIPTS:
        answer = _header_object(headers.get(name, ""))
        if isinstance(answer.get("success"), bool):
            texts = (answer.get("transaction"), answer.get("network"))
            transaction, network = (clean(text, WORD_MAX) if isinstance(text, str) else "" for text in texts)
            return Receipt(answer["success"], transaction, network)
    return None


def payment_header(header: str) -> dict[str, str]:
    """The signed payment under the name that its version has."""
    version = _header_object(header, PAID_MAX).get("x402Version")
    return {PAYMENT_HEADERS[1 if version == 1 and type(version) is int else 2]: header}


def _header_object(header: str, limit: int = HEADER_MAX) -> dict[str, Any]:
    """The JSON object in a header; {} where there is none that can be read."""
    if len(header) > limit:
        return {}
    try:
        data = strict_json.parse(header_json(header))
    except ValueError:  # binascii.Error is one
        return {}
    return data if isinstance(data, dict) else {}


def typed_data(
    authorization: Authorization, token: Token
) -> tuple[TypedDataDomain, dict[str, list[dict[str, str]]], str, dict[str, Any]]:
    """EIP-712 domain, types, primary type and message of the authorization: what a wallet signs."""
    return build_typed_data_for_signing(
        _eip3009(authorization), token.chain_id, token.address, token.name, token.version
    )


def encode_payment(authorization: Authorization, signature: str, terms: Terms, identifier: str) -> str:
    """The value of the header that pays, in the version of the 402.

    Of the vendor's text the matched terms are repeated, and what terms.echo holds, as inert data.
    identifier: declared as x402 payment identifier, unless "". It is built here: a vendor may have filled in its own.
    """
    signed = ExactEIP3009Payload(_eip3009(authorization), signature).to_dict()
    echo = terms.echo
    if echo.version == 1:
        return encode_payment_signature_header(
            PaymentPayloadV1(scheme=terms.scheme, network=echo.network or terms.network, payload=signed)
        )
    extensions = {name: value for name, value in echo.extensions.items() if name != PAYMENT_IDENTIFIER}
    if identifier:
        info = {"required": PAYMENT_IDENTIFIER in echo.extensions, "id": identifier}
        extensions[PAYMENT_IDENTIFIER] = {"info": info, "schema": IDENTIFIER_SCHEMA}
    payload = PaymentPayload(
        payload=signed,
        accepted=PaymentRequirements(
            scheme=terms.scheme,
            network=terms.network,
            asset=terms.asset,
            amount=terms.amount,
            pay_to=terms.pay_to,
            max_timeout_seconds=terms.max_timeout_s,
            extra=dict(terms.extra),
        ),
        resource=ResourceInfo.model_validate(echo.resource) if echo.resource else None,
        extensions=extensions or None,
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
