"""Downloads of inputs: over https alone, bounded, not from this network for callers over REST; no key is repeated."""

import gzip
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpuagent.errors import BadInput
from gpuagent.wire.download import REDIRECTS_MAX, Download
from gpuagent.wire.egress import Egress, egress
from gpuagent.wire.public_addresses import is_public, is_public_host
from tests.support.scripted_server import ScriptedServer
from tests.support.tls import Authority, tls_server

CONTENT = b"corpus\n" * 1_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[ScriptedServer]:
    with tls_server(authority, "localhost", "files.example.com") as server:
        yield server


@pytest.fixture
def download(authority: Authority) -> Download:
    return Download(egress({"SSL_CERT_FILE": str(authority.file)}), len(CONTENT), seconds=10)


@pytest.fixture
def url(server: ScriptedServer) -> str:
    server.respond_with(CONTENT)
    return f"https://localhost:{server.server.server_port}/corpus.txt"


def refusal(download: Download, url: str) -> str:
    with pytest.raises(BadInput) as refused:
        b"".join(download.parts(url))
    return str(refused.value)


def test_a_file_comes_compressed_or_not(download: Download, server: ScriptedServer, url: str) -> None:
    assert b"".join(download.parts(url)) == CONTENT
    server.respond_with(gzip.compress(CONTENT), headers={"Content-Encoding": "gzip"})
    assert b"".join(download.parts(url)) == CONTENT


def test_too_much_is_refused_also_where_it_was_packed(download: Download, server: ScriptedServer, url: str) -> None:
    server.respond_with(CONTENT + b"!")
    assert f"more than {len(CONTENT)} bytes" in refusal(download, url)
    server.respond_with(gzip.compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"})
    assert f"more than {len(CONTENT)} bytes" in refusal(download, url)


def test_redirects_lead_to_https_alone_and_end(download: Download, server: ScriptedServer, url: str) -> None:
    server.respond_with(b"", 302, {"Location": "http://localhost/corpus.txt"})
    assert "http://localhost/corpus.txt is not https" in refusal(download, url)
    server.respond_with(b"", 302, {"Location": "file:///etc/passwd"})
    assert "is not https" in refusal(download, url)
    server.respond_with(b"", 307, {"Location": url})
    assert f"redirects more than {REDIRECTS_MAX} times" in refusal(download, url)
    for nowhere in ("https://xn--/", "https://[::1", "https://a]b/"):
        server.respond_with(b"", 302, {"Location": nowhere})
        assert "could not be fetched" in refusal(download, url)


def test_a_missing_file_and_a_server_that_is_away_are_said_without_the_query(download: Download, url: str) -> None:
    assert "could not be fetched" in refusal(download, "https://localhost:1/corpus.txt?key=s3cret")
    for place in (f"{url}?key=s3cret", "https://localhost:1/a?key=s3cret", "http://localhost/a?key=s3cret"):
        try:
            b"".join(replace(download, file_max=1).parts(place))
        except BadInput as error:
            assert "s3cret" not in str(error)  # noqa: PT017 - each fails in a way of its own


def test_an_error_of_the_server(download: Download, server: ScriptedServer, url: str) -> None:
    server.respond_with(b"no", 404)
    assert f"{url} answered 404: nothing was started" == refusal(download, url)


def test_an_authority_that_is_not_trusted(url: str) -> None:
    assert "could not be fetched" in refusal(Download(egress({}), len(CONTENT)), url)


def test_for_callers_over_rest_this_network_is_not_asked(
    download: Download, server: ScriptedServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = replace(download, public_only=True)
    assert "own network" in refusal(public, url)
    for host in ("127.0.0.1", "[::1]", "10.0.0.7", "169.254.169.254", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"):
        assert "own network" in refusal(public, f"https://{host}/latest/meta-data")
    looked_up: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> Any:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    named = url.replace("localhost", "files.example.com")
    assert "the name stands for no public address" in refusal(public, named)
    assert looked_up == ["files.example.com"], "looked up once: no second answer can be another"
    assert b"".join(download.parts(named)) == CONTENT, "who starts a run by hand may fetch from here"


def test_a_redirect_into_this_network_is_not_followed(
    download: Download, server: ScriptedServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.respond_with(b"", 302, {"Location": "https://169.254.169.254/latest/meta-data"})
    monkeypatch.setattr("gpuagent.wire.transport.is_public", lambda _: True)  # the first server counts as public
    monkeypatch.setattr("gpuagent.wire.download.is_public_host", lambda host: host == "localhost" or is_public(host))
    assert "169.254.169.254/latest/meta-data is an address of the server's own" in refusal(
        replace(download, public_only=True), url
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "::", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
     "ff02::1", "240.0.0.1", "no address"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_addresses_and_names_that_are_public() -> None:
    assert all(is_public(address) for address in ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"))
    assert all(is_public_host(host) for host in ("files.example.com", "1.1.1.1", "2606:4700::1111", "example.com."))
    assert not any(is_public_host(host) for host in ("localhost", "intranet", "a.localhost.", "db.internal", "x.local"))


def test_the_way_out_is_the_environments(authority: Authority) -> None:
    way_out: Egress = egress({"SSL_CERT_FILE": str(authority.file), "HTTPS_PROXY": "http://127.0.0.1:1"})
    assert "could not be fetched (ConnectError" in refusal(Download(way_out, 10), "https://files.example.com/a")
    assert Path(authority.file).exists()
