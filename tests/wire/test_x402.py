"""The 402 as a stranger's text: its size, its version, its types."""

import base64
import json
from typing import Any

import pytest

from gpuagent.errors import OfferInvalid
from gpuagent.wire.offers import ACCEPTS_MAX, decode_challenge
from gpuagent.wire.x402 import HEADER_MAX
from tests.support.factories import TERMS, WIRE_TERMS


def header(**changes: Any) -> str:
    offer = {"x402Version": 2, "accepts": [WIRE_TERMS], **changes}
    return base64.b64encode(json.dumps(offer).encode()).decode()


def test_an_offer_is_read_up_to_its_greatest_size() -> None:
    padding = HEADER_MAX * 3 // 4 - len(base64.b64decode(header(note="")))
    assert len(header(note="x" * padding)) == HEADER_MAX
    assert decode_challenge(header(note="x" * padding)).accepts == (TERMS,)
    with pytest.raises(OfferInvalid, match="larger than"):
        decode_challenge(header(note="x" * (padding + 3)))


def test_of_many_entries_the_first_are_read() -> None:
    other = {**WIRE_TERMS, "scheme": "upto"}
    assert len(decode_challenge(header(accepts=[other] * (ACCEPTS_MAX - 1) + [WIRE_TERMS])).accepts) == ACCEPTS_MAX
    assert TERMS not in decode_challenge(header(accepts=[other] * ACCEPTS_MAX + [WIRE_TERMS])).accepts


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1400000},
        {"maxTimeoutSeconds": "300"},
        {"maxTimeoutSeconds": 300.0},
        {"maxTimeoutSeconds": True},
        {"payTo": None},
        {"extra": [["name", "USD Coin"], ["version", "2"]]},
        {"network": 84532},
    ],
)
def test_an_entry_of_other_types_is_left_out(change: dict[str, Any]) -> None:
    """Nothing about money is guessed."""
    assert decode_challenge(header(accepts=[{**WIRE_TERMS, **change}, WIRE_TERMS])).accepts == (TERMS,)


@pytest.mark.parametrize("version", [1, 3, "2", 2.0, True, None])
def test_another_version_is_no_offer(version: object) -> None:
    with pytest.raises(OfferInvalid, match="not x402 version 2"):
        decode_challenge(header(x402Version=version))
