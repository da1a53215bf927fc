"""Faults of the 402's form: what is asked for does not come as an offer should."""

import json
from dataclasses import replace
from typing import Any

from starlette.responses import RedirectResponse, Response
from x402.http.utils import safe_base64_encode

from mock_vendor.faults import odd
from mock_vendor.faults.hostile import HOSTILE_LINES, HOSTILE_TEXT
from mock_vendor.faults.offer import MAINNET_USDC
from mock_vendor.faults.scene import Scene
from mock_vendor.faults.table import fault
from seller.api.answers import Answer

OFFER = "PAYMENT-REQUIRED"


@fault("offer")
def v1_offer(answer: Answer, _: Scene) -> Answer:
    """The 402 speaks x402 version 1, whose payments are for Base mainnet."""
    old = answer.body["accepts"][0] | {
        "network": "base",
        "asset": MAINNET_USDC,
        "maxAmountRequired": answer.body["accepts"][0]["amount"],
        "resource": answer.body["resource"]["url"],
        "description": "one GPU job",
        "mimeType": "application/json",
    }
    return _offer({"x402Version": 1, "error": "payment required", "accepts": [old]})


@fault("offer")
def malformed_first(answer: Answer, _: Scene) -> Answer:
    """The right offer comes second, after one whose amount is no number."""
    broken = answer.body["accepts"][0] | {"amount": "one dollar"}
    return _offer(answer.body | {"accepts": [broken, *answer.body["accepts"]]})


@fault("offer")
def bad_base64(answer: Answer, _: Scene) -> Answer:
    """PAYMENT-REQUIRED is not base64, and the body is empty."""
    return replace(answer, body={}, headers={OFFER: "%%% not base64 %%%"})


@fault("offer")
def deep_offer(_: Answer, __: Scene) -> Response:
    """PAYMENT-REQUIRED is JSON nested 5,000 deep."""
    nested = "[" * 5_000 + "]" * 5_000
    headers = {OFFER: safe_base64_encode(nested)}
    return Response(nested, 402, headers, "application/json")


@fault("offer")
def oversized_header(answer: Answer, _: Scene) -> Answer:
    """PAYMENT-REQUIRED is right but for 60 kB of padding."""
    return _offer(answer.body | {"padding": "x" * 45_000})


@fault("offer")
def v1_body(answer: Answer, scene: Scene) -> Answer:
    """As v1_offer, but in the body alone, where version 1 keeps its offers."""
    return replace(v1_offer(answer, scene), headers={})


@fault("offer")
def old_version(answer: Answer, _: Scene) -> Answer:
    """The 402 is right but for its version, which is 1."""
    return _offer(answer.body | {"x402Version": 1})


@fault("offer")
def list_offer(answer: Answer, _: Scene) -> Answer:
    """PAYMENT-REQUIRED is a JSON list of right offers."""
    return replace(answer, headers={OFFER: safe_base64_encode(json.dumps([answer.body]))})


@fault("offer")
def broken_offer(answer: Answer, _: Scene) -> Answer:
    """PAYMENT-REQUIRED is base64, of JSON that is cut off."""
    return replace(answer, headers={OFFER: safe_base64_encode(json.dumps(answer.body)[:-2])})


@fault("offer")
def huge_header(answer: Answer, _: Scene) -> Answer:
    """PAYMENT-REQUIRED is right but for a megabyte of padding."""
    return _offer(answer.body | {"padding": "x" * 750_000})


@fault("offer")
def huge_offer(answer: Answer, _: Scene) -> Response:
    """The 402 is right, and has a body of 200 MB."""
    return odd.flood(402, answer.headers)


@fault("offer")
def drip_offer(answer: Answer, _: Scene) -> Response:
    """The 402 is right, and its body comes one byte at a time for minutes."""
    return odd.drip(bytes(answer.to_response().body), 402, answer.headers)


@fault("offer")
def redirect_offer(_: Answer, scene: Scene) -> Response:
    """Instead of the 402 comes a 307 to another host, which keeps what is sent to it."""
    return RedirectResponse(scene.lure_url, 307)


@fault("offer")
def redirect_offer_self(_: Answer, __: Scene) -> Response:
    """Instead of the 402 comes a 307 to itself, for ever."""
    return RedirectResponse("/submit-job", 307)


@fault("offer")
def hostile_offer(answer: Answer, _: Scene) -> Answer:
    """The 402 is right, and full of instructions beside what it must say."""
    resource = answer.body["resource"] | {"description": HOSTILE_TEXT}
    return _offer(answer.body | {"error": HOSTILE_TEXT, "resource": resource, "instructions": HOSTILE_LINES})


@fault("offer")
def hostile_terms(answer: Answer, _: Scene) -> Answer:
    """The 402 has instructions among the terms themselves."""
    extra = answer.body["accepts"][0]["extra"] | {"system": HOSTILE_TEXT}
    return _offer(answer.body | {"accepts": [answer.body["accepts"][0] | {"extra": extra}]})


def _offer(body: dict[str, Any]) -> Answer:
    return Answer(402, body, {OFFER: safe_base64_encode(json.dumps(body))})
