"""Secrets in text from outside: found in every spelling, and nothing else is taken."""

import json
import random
from base64 import b64encode
from string import ascii_lowercase

import pytest

from gpuagent.core.text import SECRET_MIN
from gpuagent.wire.credentials import payment_secrets, secrets_sent, url_secrets
from gpuagent.wire.scrub import PAYMENT, TOKEN, Scrubber, without_shapes
from tests.support.spellings import SECRET, leaks, spellings

SIGNATURE = "0x" + "3f9a" * 32 + "1b"
PAYMENT_HEADER = b64encode(
    json.dumps({"x402Version": 2, "payload": {"signature": SIGNATURE, "note": "n" * 300}}).encode()
).decode()


SPELLINGS = [
    pytest.param(secret, text, id=f"{name}, {spelling}")
    for name, secret in (("long", SECRET), ("short", "longpass1"))
    for spelling, text in spellings(secret).items()
    if len(text) >= SECRET_MIN  # a part of a short secret is an ordinary word
]


@pytest.mark.parametrize(("secret", "text"), SPELLINGS)
@pytest.mark.safety("a secret that a server sends back is taken out in every spelling, whole or in part")
def test_every_spelling_is_taken_out(secret: str, text: str) -> None:
    for line in (text, f"before {text} after", f'{{"echo": "{text}"}}', f"illegal status line: b'HTTP/1.1 {text}'"):
        scrubbed = Scrubber({secret: TOKEN}).scrub(line)
        assert TOKEN in scrubbed
        assert leaks(secret, scrubbed, 8) == []
    assert Scrubber({secret: TOKEN}).scrub(f"before {text} after").startswith("before ")
    assert Scrubber({secret: TOKEN}).scrub(f"before {text} after").endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "an ordinary line",
        "job gpu_vendor_1-7 is running at 50 %, 1.40 USD, \\ % & \\u %zz &#; ünï",
        "0x" + "d" * 64,
        f"begins alike: {SECRET[:7]}",
        "https://host/artifact?X-Amz-Signature=0123456789abcdef",
        "the bearer token is missing, the bearer authentication is required",
        "c29tZSBvcmRpbmFyeSB0ZXh0",
    ],
)
def test_nothing_else_is_taken_out(text: str) -> None:
    scrubber = Scrubber({SECRET: TOKEN, "short": TOKEN, "": TOKEN, **payment_secrets(PAYMENT_HEADER)})
    assert scrubber.scrub(text) == text
    assert scrubber.scrub_lines([text, text]) == (text, text)
    assert scrubber.scrub_value({text: [text, 1, None]}) == {text: [text, 1, None]}


@pytest.mark.parametrize(
    "echo",
    [
        PAYMENT_HEADER,
        PAYMENT_HEADER[:40],
        PAYMENT_HEADER[100:180],
        PAYMENT_HEADER[-60:],
        SIGNATURE,
        SIGNATURE[2:],
        SIGNATURE.upper(),
        SIGNATURE[:60],
        json.dumps({"signature": SIGNATURE}),
        SIGNATURE.encode().hex(),
    ],
)
def test_a_payment_is_known_by_its_header_and_its_signature(echo: str) -> None:
    scrubbed = Scrubber(payment_secrets(PAYMENT_HEADER)).scrub(f"got {echo}")
    assert PAYMENT in scrubbed
    assert leaks(SIGNATURE[2:], scrubbed) == []
    assert leaks(PAYMENT_HEADER, scrubbed, 32) == []


@pytest.mark.parametrize(
    ("size", "part"),
    [(8, 8), (9, 8), (13, 8), (15, 10), (16, 10), (23, 15), (24, 16), (130, 16), (255, 16), (256, 32), (901, 32)],
)
def test_a_part_is_known_wherever_it_begins(size: int, part: int) -> None:
    """One of just the length that is taken out; what is a character shorter is left."""
    chance = random.Random(size)
    secret = "".join(chance.choices(ascii_lowercase, k=size))
    scrubber = Scrubber({secret: TOKEN})
    for start in range(size - part + 1):
        assert scrubber.scrub_words(f"1{secret[start : start + part]}2") == f"1{TOKEN}2"
        assert scrubber.scrub_words(secret[start : start + part]) == TOKEN
        assert (text := f"1{secret[start : start + part - 1]}2") == scrubber.scrub_words(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (PAYMENT_HEADER, "[payment]"),
        (SIGNATURE, "[signature]"),
        ("Authorization: Bearer abc-123-def", "Authorization: Bearer [token]"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "[token]"),
        ("proxy http://user:pass@host:1 refused", "proxy http://[key]@host:1 refused"),
    ],
)
def test_the_shape_of_a_secret_is_known(text: str, left: str) -> None:
    """Sent by another process, or by somebody else."""
    assert without_shapes(text) == left
    assert Scrubber({}).scrub(text) == left
    assert Scrubber({}).scrub_words(text) == text


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://node.example/v2/rpc-api-key-of-ours", {"rpc-api-key-of-ours"}),
        ("https://node.example/rpc?apikey=k3y-of-ours", {"k3y-of-ours"}),
        ("https://user:p%40ssword@node.example/", {"user", "p%40ssword", "p@ssword"}),
        ("mongodb+srv://gpuagent:pass-word@db.example/?w=majority", {"pass-word"}),
        ("https://gpu.example/quote", set()),
        ("http://[/secret-of-ours", {"http://[/secret-of-ours"}),
    ],
)
def test_the_secrets_in_a_url(url: str, secrets: set[str]) -> None:
    assert set(url_secrets(url)) - {""} == secrets


def test_the_secrets_in_headers() -> None:
    headers = {
        "Authorization": "Bearer the-token",
        "PAYMENT-SIGNATURE": PAYMENT_HEADER,
        "Proxy-Authorization": "Basic " + b64encode(b"user-name:pass-word").decode(),
        "x-api-key": "the-api-key",
        "x-vendor-id": "gpu_vendor_1",
        "Idempotency-Key": "a" * 24,
    }
    secrets = set(secrets_sent("https://gpu.example/", headers))
    assert {"the-token", PAYMENT_HEADER, SIGNATURE[2:], "user-name", "pass-word", "the-api-key"} <= secrets
    assert not {"gpu_vendor_1", "a" * 24} & secrets


def test_a_scrubber_shows_no_secret_of_its_own() -> None:
    scrubber = Scrubber({SECRET: TOKEN})
    scrubber.scrub(SECRET)
    assert SECRET not in f"{scrubber!r} {scrubber._forms!r}"
