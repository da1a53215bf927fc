"""Every variable of docs/reference/configuration.md, with every kind of value that cannot be: one line, no secret."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.api.tokens import read_tokens
from gpuagent.core.text import shown
from gpuagent.errors import ConfigError, GpuAgentError
from gpuagent.practice.faults import fault_switches
from gpuagent.settings import Bucket, Environment
from gpuagent.wire.egress import egress, vendor_egress
from gpuagent.wiring.database import open_database
from mock_vendor import market
from mock_vendor.settings import read_settings
from seller.errors import BadSetting
from seller.errors import ChainError as MockChainError
from seller.payments import hosted
from tests.support.documents import ROOT
from tests.support.factories import ASSET, PAYEE, VENDOR
from tests.support.spellings import leaks

SECRET = "sk-live-0123456789abcdefghijklmnop"
KEY = "0x" + "4c" * 32
GOOD = {
    "X402_PRIVATE_KEY": KEY,
    "X402_NETWORK": "local",
    "CHAIN_RPC_URL": "http://127.0.0.1:1",
    "X402_ASSET": ASSET,
    "GPU_VENDOR_SECRET": "bearer-of-ours",
    "VENDOR_URL": "http://127.0.0.1:1",
}
MODEL = {"FIREWORKS_MODEL": "accounts/fireworks/models/deepseek-v3p2", "FIREWORKS_API_KEY": "fw-key-of-ours"}
OWN_CHAIN = {
    "CHAIN_RPC_URL": "http://127.0.0.1:1",
    "X402_NETWORK": "eip155:84532",
    "X402_ASSET": ASSET,
    "FACILITATOR_PRIVATE_KEY": KEY,
    "MOCK_PAY_TO": PAYEE,
}
VALUES = {
    "a token": SECRET,
    "a private key": "0x" + "7d" * 32,
    "a word": "nonsense",
    "two lines": f"{SECRET}\n{SECRET}",
    "in quotes": f'"{SECRET}"',
    "no UTF-8": f"\udcff{SECRET}",
    "not ASCII": f"ü{SECRET}",
    "a null": f"\0{SECRET}",
    "JSON": f'{{"key": "{SECRET}"}}',
    "a broken URL": f"http://[{SECRET}",
    "a URL with a bad port": f"https://user:{SECRET}@host:port/",
    "another URL": f"ftp://{SECRET}@host/",
    "a path": f"/run/secrets/{SECRET}",
    "a list": f",{SECRET},{SECRET}",
    "tokens the wrong way round": f"{SECRET}=read:ada",
    "a key with a slash": f"fireworks/{SECRET}",
    "a long number": "9" * 5_000,
    "a negative number": "-1",
    "no number": "NaN",
    "a huge number": "1e999999999",
}
INVISIBLE = ("", " ", "\n", "\t \r\n", "\u200b", "\ufeff\n")
Reader = Callable[[Mapping[str, str]], Any]


def variables() -> list[tuple[str, str]]:
    """(section, name) of each row of the page's tables."""
    page = (ROOT / "docs/reference/configuration.md").read_text()
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    return [
        (section.partition("\n")[0], name)
        for section in sections
        for row in re.findall(r"^\| (`[^|]+) \|", section, re.M)
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)
    ]


def switches(environ: Mapping[str, str]) -> None:
    with fault_switches(environ) as opened:
        assert opened
        opened.on()


def database(environ: Mapping[str, str]) -> None:
    values = settings.read(environ)
    if values.mongodb_uri:
        with open_database(values):
            pass


def quote(environ: Mapping[str, str]) -> None:
    vendor = replace(VENDOR, endpoint="http://127.0.0.1:1")
    with closing(HttpVendor(settings.read(environ).environ.get)) as api:
        api.quote(vendor, "goal", "A100", Decimal(1))


def own_market(environ: Mapping[str, str]) -> None:
    chain = read_settings(OWN_CHAIN | dict(environ)).chain
    assert chain
    market._own_market(chain)


def facilitator(environ: Mapping[str, str]) -> None:
    without_key = {name: value for name, value in OWN_CHAIN.items() if name != "FACILITATOR_PRIVATE_KEY"}
    chain = read_settings(without_key | dict(environ)).chain
    assert chain
    hosted.open_facilitator(chain.facilitator_url, chain.network)


def read_all(environ: Mapping[str, str]) -> tuple[Any, ...]:
    values = settings.read(environ)
    return values.rpc_urls, values.token, values.confirmations


AT_START: tuple[Reader, ...] = (
    lambda environ: settings.read(environ).rpc_urls,
    lambda environ: settings.read(environ).token,
    lambda environ: settings.read(environ).confirmations,
    lambda environ: wiring.key_source(settings.read(environ)).payer(),
    lambda environ: egress(settings.read(environ).environ),
    lambda environ: vendor_egress(settings.read(environ).environ),
    read_tokens,
    settings.is_configured,
)
"""The readers of variables that every command may ask."""
BY_SECTION: dict[str, tuple[Reader, ...]] = {
    "Planner": (lambda environ: wiring.named_planner(settings.read(MODEL | dict(environ)), "llm"),),
    "Vendors": (switches, quote),
    "Practice vendors": (read_settings,),
}
BY_NAME: dict[str, tuple[Reader, ...]] = {
    "MONGODB_URI": (database,),
    **dict.fromkeys(("MOCK_PAY_TO", "FACILITATOR_PRIVATE_KEY"), (own_market,)),
    "FACILITATOR_URL": (facilitator,),
}


def problems(section: str, name: str, value: str) -> Iterator[Exception]:
    """What the readers of the variable say of the value."""
    practice = section == "Practice vendors"
    readers = BY_NAME.get(name, ()) + BY_SECTION.get(section, ()) + (() if practice else AT_START)
    for read in readers:
        base = {} if practice else {**GOOD, **({"X402_PRIVATE_KEY": ""} if name == "EVM_PRIVATE_KEY" else {})}
        try:
            read({**base, name: value})
        except (GpuAgentError, BadSetting, MockChainError) as error:
            yield error


@pytest.mark.parametrize(("section", "name"), variables())
@pytest.mark.safety("a secret that was put into the wrong variable is repeated by no error, and no value is a crash")
def test_a_value_that_cannot_be_is_one_line_without_it(section: str, name: str) -> None:
    for kind, value in VALUES.items():
        for error in problems(section, name, value):
            text = str(error)
            assert len(text.splitlines()) == 1, (kind, text)
            assert leaks(SECRET, text) == [], (kind, text)
            assert leaks("7d" * 32, text) == [], (kind, text)
            assert len(text) < 600, (kind, text)
            assert text.isprintable(), (kind, text)


NAMED = {
    "MONGODB_URI": "a token",
    "MONGODB_DB_NAME": "a path",
    "FILE_STORE": "a path",
    "X402_PRIVATE_KEY": "a token",
    "EVM_PRIVATE_KEY": "a token",
    "X402_KEYSTORE": "a path",
    "X402_NETWORK": "a token",
    "CHAIN_RPC_URL": "a token",
    "X402_ASSET": "a private key",
    "X402_ASSET_NAME": "two lines",
    "X402_CONFIRMATIONS": "a token",
    "GPU_VENDOR_SECRET": "not ASCII",
    "VENDOR_URL": "a broken URL",
    "HTTPS_PROXY": "a broken URL",
    "SSL_CERT_FILE": "a token",
    "SSL_CERT_DIR": "a token",
    "VENDOR_TRUST_ENV": "a token",
    "PLANNER_MODE": "a token",
    "PLANNER_MODEL": "a token",
    "FIREWORKS_MODEL": "a token",
    "PLANNER_API_BASE": "a broken URL",
    "PLANNER_PRICES": "a token",
    "PLANNER_TIMEOUT_S": "a token",
    "PLANNER_MAX_TOKENS": "a long number",
    "GPUAGENT_API_TOKENS": "tokens the wrong way round",
    "CRON_SECRET": "a negative number",
    "PORT": "a token",
    "MOCK_PAY_TO": "a token",
    "FACILITATOR_PRIVATE_KEY": "a token",
    "FACILITATOR_URL": "a broken URL",
}


@pytest.mark.parametrize("name", NAMED)
def test_the_error_names_the_variable(name: str) -> None:
    """So that the test above does not pass because nothing reads it."""
    (section,) = [section for section, variable in variables() if variable == name][:1]
    said = [str(error) for error in problems(section, name, VALUES[NAMED[name]])]
    variable = "X402_PRIVATE_KEY" if name == "EVM_PRIVATE_KEY" else name
    assert any(variable in text for text in said), said


@pytest.mark.parametrize("name", sorted({name for _, name in variables()}))
def test_what_is_invisible_at_the_ends_is_no_part_of_a_value(name: str) -> None:
    """Of a password only newlines are none."""
    for mark in INVISIBLE:
        if name == "X402_KEYSTORE_PASSWORD":
            assert Environment({name: f" a{mark}\n"})[name] == f" a{mark}".rstrip("\r\n")
        else:
            assert Environment({name: f"{mark}a b{mark}\n"})[name] == "a b"
            assert not Environment({name: mark}).get(name)


def test_padded_values_mean_what_they_mean() -> None:
    padded = {name: f"\ufeff {value}\r\n" for name, value in {**GOOD, "X402_CONFIRMATIONS": "3"}.items()}
    values = settings.read(padded)
    assert (values.network, values.rpc_urls, values.token.address) == ("eip155:31337", ("http://127.0.0.1:1",), ASSET)
    assert values.confirmations == 3
    assert wiring.key_source(values).payer() == wiring.key_source(settings.read(GOOD)).payer()
    tokens = read_tokens({"GPUAGENT_API_TOKENS": f" ada=read:{'x' * 20}\n", "CRON_SECRET": f"{'y' * 20}\n"})
    assert set(tokens.callers) == {"x" * 20, "y" * 20}
    assert not read_tokens({"VERCEL": " \n"}).hosted
    assert not settings.is_configured({"CHAIN_RPC_URL": " \n", "X402_PRIVATE_KEY": "\u200b"})
    assert settings.read({"PLANNER_MODE": " ", "MONGODB_DB_NAME": "\n", "X402_NETWORK": ""}).planner == "stub"


def test_variables_are_read_when_they_are_asked_for() -> None:
    """A notebook may set a vendor's token later."""
    variables = {"A": "1"}
    environment = settings.read(variables).environ
    variables["B"] = " 2 "
    assert dict(environment) == {"A": "1", "B": "2"}
    assert SECRET not in repr(Environment({"A": SECRET}))


NO_PLACES = (
    "/folder",
    "file://",
    "file:///",
    "file://host/folder",
    "s3://",
    "s3:///prefix",
    "s3://B/x",
    "gs://bucket/x",
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("file:///srv/files", Path("/srv/files")),
        ("file:///srv/my%20files/", Path("/srv/my files")),
        ("s3://bucket", Bucket("bucket", "")),
        ("s3://bucket/runs/of/mine/", Bucket("bucket", "runs/of/mine")),
    ],
)
def test_the_place_of_files(text: str, place: Path | Bucket | None) -> None:
    assert settings.read({"FILE_STORE": text}).file_store == place


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"X402_NETWORK": "bsae"}, "did you mean base?"),
        ({"X402_NETWORK": "Base-Sepolia"}, "did you mean base-sepolia?"),
        ({"PLANNER_MODE": "LLM"}, "did you mean llm?"),
        ({"CHAIN_RPC_URL": "https://a.example,b.example"}, "endpoint 2 of CHAIN_RPC_URL is no URL"),
        ({"X402_CONFIRMATIONS": "1000001"}, "1000000 at most"),
        ({"X402_ASSET": ASSET[:-1]}, "X402_ASSET is no address"),
        ({"MONGODB_DB_NAME": "a" * 64}, "MONGODB_DB_NAME is no name"),
        *(({"FILE_STORE": place}, "write file:///folder or s3://bucket/prefix") for place in NO_PLACES),
    ],
)
def test_what_was_meant_is_said(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_all({**GOOD, **changes})


def test_only_a_short_value_is_shown() -> None:
    assert (shown("some"), shown("a\nb"), shown(SECRET)) == (
        "'some'",
        "(3 characters, not shown)",
        "(34 characters, not shown)",
    )
