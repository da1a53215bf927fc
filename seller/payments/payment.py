"""Strict reading of the PAYMENT-SIGNATURE header: whatever is wrong with it is one error."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from x402.schemas import PaymentPayload

MAX_HEADER_BYTES = 16 * 1024
KEY = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
NONCE = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
NUMBER = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
SIGNATURE = re.compile(r"0x([0-9a-fA-F]{2}){65,2048}", re.ASCII)

# The declaration of x402.extensions.payment_identifier, repeated because importing x402.extensions takes
# over two seconds: it loads jsonschema with all its grammars, which nothing here has a use for.
PAYMENT_IDENTIFIER = "payment-identifier"
IDENTIFIER_DECLARATION: dict[str, Any] = {
    "info": {"required": False},
    "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "required": {"type": "boolean"},
            "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"},
        },
        "required": ["required"],
    },
}


class MalformedPayment(Exception):
    """The header is not an x402 version 2 payment by EIP-3009; the message says what is wrong."""


@dataclass(frozen=True)
class Authorization:
    """The EIP-3009 terms that were signed. Addresses and nonce are lower case."""

    payer: str
    payee: str
    amount: int
    nonce: str
    valid_before: int


@dataclass(frozen=True)
class Payment:
    """A header as it came, and its fields. Whether the signature is good is not checked here."""

    header: str
    payload: PaymentPayload
    authorization: Authorization
    identifier: str | None


def read_payment(header: str) -> Payment:
    """The payment in a header. Raises MalformedPayment."""
    if len(header) > MAX_HEADER_BYTES:
        raise MalformedPayment(f"PAYMENT-SIGNATURE is longer than {MAX_HEADER_BYTES} bytes")
    try:
        content = json.loads(base64.b64decode(header, validate=True))
    except (ValueError, RecursionError):
        raise MalformedPayment("PAYMENT-SIGNATURE is not base64 of JSON") from None
    # The SDK takes every version but 1 for 2, so the version is compared here.
    if not isinstance(content, dict) or type(content.get("x402Version")) is not int:
        raise MalformedPayment("PAYMENT-SIGNATURE is not an x402 payment")
    if content["x402Version"] != 2:
        raise MalformedPayment(f"x402Version {content['x402Version']} is not supported, 2 is")
    try:
        payload = PaymentPayload.model_validate(content)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise MalformedPayment(f"PAYMENT-SIGNATURE is not an x402 payment: see {place}") from None
    return Payment(header, payload, _authorization(payload.payload), _identifier(payload))


def _authorization(exact: dict[str, Any]) -> Authorization:
    terms = exact.get("authorization")
    if not isinstance(terms, dict):
        raise MalformedPayment("only EIP-3009 authorizations are accepted")
    _text(exact, "signature", SIGNATURE)
    _text(terms, "validAfter", NUMBER)
    return Authorization(
        payer=_text(terms, "from", ADDRESS).lower(),
        payee=_text(terms, "to", ADDRESS).lower(),
        amount=int(_text(terms, "value", NUMBER)),
        nonce=_text(terms, "nonce", NONCE).lower(),
        valid_before=int(_text(terms, "validBefore", NUMBER)),
    )


def _identifier(payload: PaymentPayload) -> str | None:
    extension = (payload.extensions or {}).get(PAYMENT_IDENTIFIER)
    info = extension.get("info") if isinstance(extension, dict) else None
    if not isinstance(info, dict) or "id" not in info:
        return None
    return _text(info, "id", KEY)


def _text(fields: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise MalformedPayment(f"{name} in PAYMENT-SIGNATURE is missing or malformed")
    return value
