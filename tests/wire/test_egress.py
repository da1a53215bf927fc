"""Proxies and authorities of the environment: honoured for nodes and models, and for vendors where they shall be."""

import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.chain.json_rpc import JsonRpc
from gpuagent.adapters.planners.llm import call
from gpuagent.core.model import Authorized, Vendor
from gpuagent.errors import ChainError, ConfigError, VendorError
from gpuagent.practice.faults import fault_switches
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed
from gpuagent.wire.egress import CERT_DIR, CERT_FILE, direct, egress, vendor_egress
from gpuagent.wire.transport import IDLE_MAX_S
from tests.support.factories import VENDOR, WIRE_QUOTE, authorization, quote
from tests.support.forward_proxy import ForwardProxy
from tests.support.llm_server import start_reply
from tests.support.scripted_server import ScriptedServer
from tests.support.spellings import leaks
from tests.support.tcp_proxy import TcpProxy
from tests.support.tls import Authority, tls_server

HOST = "far.example"
USER, PASSWORD = "proxy-user", "proxy-p@ssword"
HEADER = b64encode(json.dumps({"payload": {"signature": "0x" + "3f9a" * 32 + "1b"}}).encode()).decode()
ANSWER = [{"id": 0, "result": "0x1"}, {"id": 1, "result": "0x1"}]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[ScriptedServer]:
    with tls_server(authority, HOST, f"sub.{HOST}", "localhost") as server:
        yield server


@pytest.fixture
def proxy(server: ScriptedServer) -> Iterator[ForwardProxy]:
    port = server.server.server_port
    with ForwardProxy({HOST: port, f"sub.{HOST}": port}, USER, PASSWORD) as proxy:
        yield proxy


@pytest.fixture
def environ(authority: Authority, proxy: ForwardProxy) -> dict[str, str]:
    url = f"http://{USER}:{PASSWORD.replace('@', '%40')}@{proxy.address}"
    return {"SSL_CERT_FILE": str(authority.file), "HTTPS_PROXY": url, "GPU_VENDOR_SECRET": "bearer-of-ours"}


def test_a_node_behind_a_proxy(server: ScriptedServer, proxy: ForwardProxy, environ: dict[str, str]) -> None:
    server.respond_with(ANSWER)
    with closing(JsonRpc(f"https://{HOST}/v2/key-of-the-node-1", 5, 1, egress=egress(environ))) as node:
        assert node.batch(("eth_chainId", [])) == ["0x1"]
        assert node.batch(("eth_chainId", [])) == ["0x1"]
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT far.example:443 ")
    assert b"key-of-the-node-1" not in head + proxy.seen


def test_settings_name_the_way_to_the_node(
    server: ScriptedServer, proxy: ForwardProxy, environ: dict[str, str]
) -> None:
    server.respond_with([{"id": number, "result": "0x7"} for number in range(50)])
    chain = {"CHAIN_RPC_URL": f"https://{HOST}", "X402_NETWORK": "base"}
    with pytest.raises(ChainError, match="is chain 7"), wiring.open_chain(settings.read({**environ, **chain})):
        pass
    assert len(proxy.heads) == 1


def buy(vendor_api: object, vendor: Vendor) -> str:
    job = Authorized("a" * 24, quote(), 0, authorization(), HEADER)
    return vendor_api.submit(vendor, job).vendor_job_id  # type: ignore[attr-defined, no-any-return]


@pytest.mark.safety("a payment goes through a proxy by the operator's choice alone, and inside of TLS")
def test_vendors_take_the_proxy_by_the_operators_choice_alone(
    server: ScriptedServer, proxy: ForwardProxy, environ: dict[str, str]
) -> None:
    vendor = replace(VENDOR, endpoint=f"https://{HOST}")
    server.respond_with({"vendorJobId": "v"})
    with wiring.open_vendor_api(environ) as (vendor_api, http):
        with pytest.raises(VendorError, match="does not answer"):
            buy(vendor_api, vendor)
        with pytest.raises(HttpFailed):
            http.request("GET", vendor.endpoint)
    assert proxy.heads == []
    with wiring.open_vendor_api({**environ, "VENDOR_TRUST_ENV": "1"}) as (vendor_api, http):
        assert buy(vendor_api, vendor) == "v"
        assert server.request_headers["PAYMENT-SIGNATURE"] == HEADER
        assert http.request("GET", vendor.endpoint).status == 200
    passed = b"".join(proxy.heads) + proxy.seen
    assert all(head.startswith(b"CONNECT ") for head in proxy.heads)
    for secret in (HEADER.encode(), b"bearer-of-ours"):
        assert secret not in passed


@pytest.mark.safety("a vendor without TLS is not asked through a proxy, which would read the token and the payment")
def test_a_vendor_without_tls_is_refused(proxy: ForwardProxy, environ: dict[str, str]) -> None:
    plain = {"VENDOR_TRUST_ENV": "1", "HTTP_PROXY": environ["HTTPS_PROXY"], "ALL_PROXY": environ["HTTPS_PROXY"]}
    with wiring.open_vendor_api({**environ, **plain}) as (vendor_api, _):
        for endpoint in (f"http://{HOST}", f"http://{HOST}:443"):
            with pytest.raises(VendorError, match="must be https"):
                buy(vendor_api, replace(VENDOR, endpoint=endpoint))
    assert proxy.heads == []


def test_this_machine_is_never_behind_a_proxy(
    scripted_server: ScriptedServer, proxy: ForwardProxy, environ: dict[str, str]
) -> None:
    scripted_server.respond_with(WIRE_QUOTE)
    everywhere = {"VENDOR_TRUST_ENV": "1", "HTTP_PROXY": environ["HTTPS_PROXY"]}
    with wiring.open_vendor_api({**environ, **everywhere}) as (vendor_api, http):
        assert vendor_api.quote(scripted_server.vendor, "goal", "A100", Decimal(1)).template_id == "quote-1"
        assert http.request("GET", scripted_server.vendor.endpoint.replace("127.0.0.1", "localhost")).status == 200
    assert proxy.heads == []


def test_practice_switches_take_no_proxy(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    scripted_server.respond_with({"on": [], "scripts": {}})
    environ = {"VENDOR_URL": scripted_server.vendor.endpoint, "GPU_VENDOR_SECRET": "bearer-of-ours\n"}
    with fault_switches(environ) as switches:
        assert switches
        assert switches.on() == set()


def test_a_node_without_tls_is_asked_through_the_proxy_of_http(
    scripted_server: ScriptedServer, environ: dict[str, str]
) -> None:
    scripted_server.respond_with(ANSWER)
    with ForwardProxy({HOST: scripted_server.server.server_port}) as proxy:
        way = egress({"HTTP_PROXY": proxy.address})  # as curl has it, without a scheme
        with closing(JsonRpc(f"http://{HOST}/", 5, 1, egress=way)) as node:
            assert node.batch(("eth_chainId", [])) == ["0x1"]
        assert proxy.heads[0].startswith(b"POST http://far.example/ ")


def test_a_model_behind_a_proxy(
    server: ScriptedServer, proxy: ForwardProxy, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """litellm's settings are the process's, so they are set again behind this test."""
    server.respond_with(start_reply().encoded("m"))
    server.headers = {"Content-Type": "application/json"}
    call.load_litellm()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        call.load_litellm.__wrapped__()
        model = call.Model("openai/through-a-proxy", "key-of-the-model", f"https://{HOST}/v1")
        assert "start_job" in call.complete(model, [{"role": "user", "content": "?"}], 1_000, 60).text
        assert proxy.heads[0].startswith(b"CONNECT far.example:443 ")
        monkeypatch.setenv("HTTPS_PROXY", environ["HTTPS_PROXY"].replace(USER, "another-user"))
        call.load_litellm.__wrapped__()
        model = replace(model, api_base=f"https://sub.{HOST}/v1")
        with pytest.raises(call.CallFailed, match=r"no connection \(407") as error:
            call.complete(model, [{"role": "user", "content": "?"}], 100, 60)
        assert error.value.billed is call.Billed.NOTHING
        assert leaks(PASSWORD, str(error.value), 8) == []
    finally:
        monkeypatch.undo()
        call.load_litellm.__wrapped__()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SSL_CERT_FILE": ""}, "CERTIFICATE_VERIFY_FAILED"),
        ({"HTTPS_PROXY": "http://another-user:another-p%40ssword@{proxy}"}, "407 .*by way of the proxy in HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://{proxy}"}, "407"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://{proxy}"}, "by way of the proxy in ALL_PROXY"),
        ({"HTTPS_PROXY": "http://127.0.0.1:1"}, "refused, by way of the proxy in HTTPS_PROXY"),
        ({"HTTPS_PROXY": "https://{proxy}"}, "by way of the proxy in HTTPS_PROXY"),
    ],
)
def test_what_does_not_get_through_is_said_without_the_password(
    proxy: ForwardProxy, environ: dict[str, str], changes: Mapping[str, str], says: str
) -> None:
    changed = {**environ, **{name: value.format(proxy=proxy.address) for name, value in changes.items()}}
    with closing(BoundedHttp(1, egress=egress(changed))) as http, pytest.raises(HttpFailed, match=says) as error:
        http.request("GET", f"https://{HOST}/")
    for secret in (PASSWORD, "another-p@ssword", b64encode(b"another-user:another-p@ssword").decode()):
        assert leaks(secret, str(error.value), 8) == []


def test_authorities_in_a_folder(authority: Authority, server: ScriptedServer, tmp_path: Path) -> None:
    """Trusted are those alone; another folder may stand beside it, as OpenSSL reads the variable."""
    (tmp_path / "hashed").mkdir()
    (tmp_path / "hashed" / f"{subject_hash(authority)}.0").write_bytes(authority.file.read_bytes())
    server.respond_with({})
    url = f"https://localhost:{server.server.server_port}/"
    folder = str(tmp_path / "hashed")
    for folders in (folder, os.pathsep.join([folder, folder])):
        with closing(BoundedHttp(5, egress=egress({"SSL_CERT_DIR": folders}))) as http:
            assert http.request("GET", url).status == 200
    with closing(BoundedHttp(5, egress=direct())) as http, pytest.raises(HttpFailed, match="CERTIFICATE_VERIFY"):
        http.request("GET", url)


def subject_hash(authority: Authority) -> str:
    """The name that OpenSSL looks a certificate up by."""
    from hashlib import sha1

    from cryptography import x509

    # X509_NAME_hash: SHA-1 of the canonical encoding, in which a text is a UTF8String in lower case.
    name = x509.load_pem_x509_certificate(authority.file.read_bytes()).subject
    text = name.rfc4514_string().removeprefix("CN=").replace("\\", "").lower().encode()
    value = b"\x0c" + bytes([len(text)]) + text
    attribute = b"\x06\x03\x55\x04\x03" + value
    pair = b"\x30" + bytes([len(attribute)]) + attribute
    return f"{int.from_bytes(sha1(b'1' + bytes([len(pair)]) + pair).digest()[:4], 'little'):08x}"


@pytest.mark.parametrize(
    ("entry", "url", "direct_way"),
    [
        ("far.example", "https://far.example/", True),
        ("FAR.example", "https://far.example/", True),
        ("example", "https://far.example/", True),
        (".example", "https://far.example/", True),
        ("*.example", "https://far.example/", True),
        (" a , far.example ", "https://far.example/", True),
        ("far.example:443", "https://far.example/", True),
        ("far.example:8443", "https://far.example/", False),
        ("far.example:8443", "https://far.example:8443/", True),
        ("*", "https://far.example/", True),
        ("ar.example", "https://far.example/", False),
        ("", "https://far.example/", False),
        (",,", "https://far.example/", False),
        (".", "https://far.example/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("::2", "https://[::2]/", True),
        ("[::2]:443", "https://[::2]/", True),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("", "https://127.0.0.1/", True),
        ("", "https://127.9.9.9/", True),
        ("", "https://[::1]:8/", True),
        ("", "https://LOCALHOST/", True),
        ("", "ftp://far.example/", True),
        ("", "https://[", True),
    ],
)
def test_hosts_that_need_no_proxy(entry: str, url: str, direct_way: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        way = egress({"https_proxy": "http://proxy.example:3128", "HTTPS_PROXY": "http://other.example", name: entry})
        proxy = way.proxy(url)
        assert proxy is None if direct_way else (proxy and proxy.url == "http://proxy.example:3128")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    ["http:///", "http://[", "http://host:port", "http://host:0", "ftp://host", "socks5://host:1", "a b", "x/y", "ü"],
)
def test_a_proxy_that_is_none_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name.upper()} is ") as error:
        egress({name: value})
    assert len(value) < 4 or value not in str(error.value)


def test_authorities_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.pem").write_text("no certificate")
    for value in ("secret-in-the-wrong-place", str(tmp_path), "a\0b"):
        with pytest.raises(ConfigError, match=r"^the file that SSL_CERT_FILE names cannot be read") as error:
            egress({CERT_FILE: value})
        assert value not in str(error.value)
    with pytest.raises(ConfigError, match="has no certificates"):
        egress({CERT_FILE: str(tmp_path / "file.pem")})
    with pytest.raises(ConfigError, match="no hashed certificates"):
        egress({CERT_DIR: str(tmp_path / "empty")})
    with pytest.raises(ConfigError, match="cannot be read"):
        egress({CERT_DIR: "secret-in-the-wrong-place"})


def test_vendors_are_reached_in_one_of_two_ways() -> None:
    proxy = {"HTTPS_PROXY": "http://proxy.example:3128"}
    assert vendor_egress(proxy) is vendor_egress({**proxy, "VENDOR_TRUST_ENV": "0"}) is direct()
    assert vendor_egress({**proxy, "VENDOR_TRUST_ENV": "1"}).proxies
    with pytest.raises(ConfigError, match="neither 1"):
        vendor_egress({**proxy, "VENDOR_TRUST_ENV": "yes"})


def test_an_idle_connection_is_not_used_again(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NAT that forgot it answers nothing at all: the request would last until its deadline."""
    scripted_server.respond_with({})
    with TcpProxy(scripted_server.vendor.endpoint) as nat, closing(BoundedHttp(6)) as http:
        assert http.request("GET", nat.url).status == 200
        assert http.request("GET", nat.url).status == 200
        assert nat.connections == 1, "one that is in use is kept"
        nat.forget()
        clock = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: clock() + IDLE_MAX_S + 1)
        assert http.request("GET", nat.url).status == 200
        assert nat.connections == 2
