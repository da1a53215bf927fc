"""What was sent to a vendor or a node comes back nowhere: not in an error, an offer, a quote, a name or a report."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.chain.json_rpc import JsonRpc
from gpuagent.adapters.vendors.calls import NAMES_KEPT
from gpuagent.adapters.vendors.echoes import scrubbed_report
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Authorized, Reserved, Vendor
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.terms import agreed
from gpuagent.core.work import FileEntry, JobReport, JobStatus
from gpuagent.errors import ChainError, GpuAgentError, VendorError
from gpuagent.wire.egress import direct, egress
from gpuagent.wire.scrub import Scrubber
from tests.support.factories import TOKEN, VENDOR, WIRE_QUOTE, WIRE_STATUS, WIRE_TERMS, authorization, quote
from tests.support.raw_server import answering
from tests.support.scripted_server import ScriptedServer
from tests.support.spellings import SECRET, leaks, spellings
from tests.support.tracebacks import traceback_text

SIGNATURE = "0x" + "3f9a" * 32 + "1b"
HEADER = b64encode(json.dumps({"x402Version": 2, "payload": {"signature": SIGNATURE}}).encode()).decode()
RESERVED, FILE = Reserved("a" * 24, quote(), 0), FileEntry("a", 3, "a" * 64)
JOB = Authorized("a" * 24, quote(), 0, authorization(), HEADER)


@pytest.fixture
def api() -> Iterator[HttpVendor]:
    with closing(HttpVendor({"GPU_VENDOR_SECRET": SECRET}.get, quote_s=60, submit_s=60, status_s=60)) as api:
        yield api


def calls(api: HttpVendor, vendor: Vendor) -> dict[str, Callable[[], Any]]:
    return {
        "quote": lambda: api.quote(vendor, "goal", "A100", Decimal(1)),
        "challenge": lambda: api.challenge(vendor, Reserved("a" * 24, quote(), 0)),
        "submit": lambda: api.submit(vendor, JOB),
        "status": lambda: api.status(vendor, VendorJob("v")),
        "cancel": lambda: api.cancel(vendor, VendorJob("v")),
        "input": lambda: api.input_received(vendor, RESERVED, FILE),
        "sending": lambda: api.send_input(vendor, RESERVED, FILE, 0, [b"abc"]),
        "file": lambda: list(api.read_file(vendor, VendorJob("v"), FILE, 0, 60)),
    }


def assert_scrubbed(error: GpuAgentError, *secrets: str) -> None:
    shown = str(error) + traceback_text(error, with_locals=False)
    for secret in secrets:
        assert leaks(secret, shown) == [], shown


BROKEN_LINES = {
    "status line": b"%s\r\n\r\n",
    "status": b"HTTP/1.1 %s\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\n%s\x00: 1\r\n\r\n",
    "header without a colon": b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
    "encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
    "behind a long text": b"HTTP/1.1 " + b"x" * 240 + b"%s\r\n\r\n",
}


@pytest.mark.parametrize("name", ["quote", "challenge", "submit", "status", "cancel", "input", "sending", "file"])
@pytest.mark.safety("a vendor's broken HTTP that repeats token and signature is an error without them")
def test_a_broken_line_is_quoted_without_what_was_sent(api: HttpVendor, name: str) -> None:
    for line in BROKEN_LINES.values():
        for echo in (f"Bearer {SECRET}", HEADER, SIGNATURE, spellings()["percent"], spellings()["base64"]):
            answer = line % echo.encode()
            with answering(lambda _, answer=answer: answer) as url, pytest.raises(VendorError) as error:
                calls(api, replace(VENDOR, endpoint=url))[name]()
            assert_scrubbed(error.value, SECRET, *((HEADER, SIGNATURE) if name == "submit" else ()))


@pytest.mark.parametrize("spelling", spellings())
def test_an_error_page_is_quoted_without_what_was_sent(
    api: HttpVendor, scripted_server: ScriptedServer, spelling: str
) -> None:
    """Also where its quotation is cut off inside the secret."""
    text = spellings()[spelling]
    for padding in ("", "x " * 140):
        scripted_server.respond_with(f"{padding}Bearer {text}".encode(), 500)
        for call in calls(api, scripted_server.vendor).values():
            with pytest.raises(VendorError) as error:
                call()
            assert_scrubbed(error.value, SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"status": SECRET},
        {"status": spellings()["its beginning"]},
        {"progress": SECRET},
        {"logs": [SECRET, {"headers": {"Authorization": f"Bearer {SECRET}"}}, spellings()["base64"]]},
        {"finalMetrics": {SECRET: SECRET, spellings()["hex"]: [spellings()["percent"]]}},
        {"errorMessage": f"refused: {spellings()['spaced']}"},
        {"cursor": spellings()["its beginning"]},
        {"artifactUrl": f"https://host/a?token={spellings()['percent']}"},
    ],
    ids=str,
)
def test_a_report_holds_no_token(api: HttpVendor, scripted_server: ScriptedServer, change: dict[str, Any]) -> None:
    scripted_server.respond_with({**WIRE_STATUS, **change})
    try:
        shown = str(api.status(scripted_server.vendor, VendorJob("v")))
    except VendorError as error:
        shown = str(error)
    assert leaks(SECRET, shown) == []


@pytest.mark.safety("a signed payment that the vendor repeats in a job's log is not stored")
def test_a_vendor_repeats_the_payment_in_a_log(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    """After another process sent it, too: then by its shape."""
    scripted_server.respond_with({"vendorJobId": "v"})
    api.submit(scripted_server.vendor, JOB)
    scripted_server.respond_with({**WIRE_STATUS, "logs": ["a", HEADER, HEADER[30:90], SIGNATURE[:50], SIGNATURE]})
    report = api.status(scripted_server.vendor, VendorJob("v"))
    assert report.logs == ("a", "[payment]", "[payment]", "0x[payment]", "0x[payment]")
    with closing(HttpVendor({"GPU_VENDOR_SECRET": SECRET}.get)) as other:
        report = other.status(scripted_server.vendor, VendorJob("v"))
    assert (report.logs[1], report.logs[4]) == ("[payment]", "[signature]")


def test_of_many_jobs_the_newest_secrets_are_known(scripted_server: ScriptedServer) -> None:
    """Their names are remembered, up to a number; their values are looked up."""
    values = {f"V{number}": f"value-of-{number}" for number in range(NAMES_KEPT + 1)}
    with closing(HttpVendor({"GPU_VENDOR_SECRET": "s", **values}.get)) as api:
        scripted_server.respond_with({**WIRE_STATUS, "logs": [f"value-of-{NAMES_KEPT}", "value-of-1"]})
        api.status(scripted_server.vendor, VendorJob("v", secrets=list(values)))
        assert api.status(scripted_server.vendor, VendorJob("v")).logs == ("[secret]", "[secret]")
        other = replace(scripted_server.vendor, vendor_id="other")
        assert api.status(other, VendorJob("v")).logs[1] == "value-of-1"  # it was never sent that


@pytest.mark.parametrize("spelling", ["base64", "hex", "its middle"])
def test_a_cursor_that_holds_a_secret_is_not_kept(spelling: str) -> None:
    report = JobReport(JobStatus.RUNNING, 0, (), {}, "", "", cursor=spellings()[spelling])
    scrubbed = scrubbed_report(report, Scrubber({SECRET: "[secret]"}))
    assert scrubbed.cursor == ""
    assert scrubbed.refused == ("the cursor holds a secret that the vendor was sent",)
    assert scrubbed_report(replace(report, cursor="line 7"), Scrubber({SECRET: "[secret]"})).cursor == "line 7"


def test_a_link_keeps_the_key_that_opens_it(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    link = f"https://user:pass@host/a?X-Amz-Signature={'0a' * 64}"
    scripted_server.respond_with({**WIRE_STATUS, "artifactUrl": link})
    report: JobReport = api.status(scripted_server.vendor, VendorJob("v"))
    assert report.artifact_url == link


def test_a_token_that_is_echoed_as_a_name_is_not_kept(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    """A name that only shares a part of the token stays: it is sent back, and compared."""
    scripted_server.respond_with({**WIRE_QUOTE, "vendorJobTemplateId": f"t-{SECRET}"})
    assert api.quote(scripted_server.vendor, "goal", "A100", Decimal(1)).template_id == "t-[token]"
    scripted_server.respond_with({"vendorJobId": SECRET[:20]})
    assert api.submit(scripted_server.vendor, JOB).vendor_job_id == SECRET[:20]


@pytest.mark.parametrize("field", ["scheme", "network", "asset", "amount", "payTo", "extra"])
def test_an_objection_to_an_offer_quotes_no_token(api: HttpVendor, scripted_server: ScriptedServer, field: str) -> None:
    for echo in (SECRET, SECRET[:20]):
        value: object = {"name": echo, "version": "2"} if field == "extra" else echo
        offer = {"x402Version": 2, "accepts": [{**WIRE_TERMS, field: value}]}
        header = b64encode(json.dumps(offer).encode()).decode()
        scripted_server.respond_with({}, 402, {"PAYMENT-REQUIRED": header})
        challenge = api.challenge(scripted_server.vendor, Reserved("a" * 24, quote(), 0))
        assert leaks(SECRET, str(challenge)) == [] or (field == "extra" and echo != SECRET)
        with pytest.raises(VendorError) as error:
            agreed(challenge, quote(), scripted_server.vendor, TOKEN)
        assert_scrubbed(error.value, SECRET)


def test_an_offer_that_shares_a_part_of_the_token_is_as_agreed(scripted_server: ScriptedServer) -> None:
    header = b64encode(json.dumps({"x402Version": 2, "accepts": [WIRE_TERMS]}).encode()).decode()
    scripted_server.respond_with({}, 402, {"PAYMENT-REQUIRED": header})
    with closing(HttpVendor({"GPU_VENDOR_SECRET": f"key-{VENDOR.pay_to}"}.get)) as api:
        challenge = api.challenge(scripted_server.vendor, Reserved("a" * 24, quote(), 0))
    assert agreed(challenge, quote(), scripted_server.vendor, TOKEN).pay_to == VENDOR.pay_to


@pytest.mark.parametrize("echo", [SECRET, SECRET[:20], spellings()["percent"], spellings()["base64"]])
def test_a_node_that_repeats_the_key_in_its_url(scripted_server: ScriptedServer, echo: str) -> None:
    endpoint = scripted_server.vendor.endpoint
    for path in (f"/v2/{SECRET}", f"/?apikey={SECRET}"):
        with closing(JsonRpc(endpoint + path, 2, 1)) as node:
            scripted_server.respond_with([{"id": 0, "error": {"message": f"no access with {echo}"}}])
            with pytest.raises(ChainError, match="no access") as error:
                node.batch(("eth_chainId", []))
            assert_scrubbed(error.value, SECRET)
    with answering(lambda _: f"HTTP/1.1 {echo}\r\n\r\n".encode()) as url:
        # The errors of connections through a proxy quote the line that could not be read.
        by_way = egress({"HTTP_PROXY": url})
        for node_url, ways in ((f"{url}/{SECRET}", direct()), (f"http://node.example/{SECRET}", by_way)):
            with closing(JsonRpc(node_url, 2, 1, egress=ways)) as node:
                with pytest.raises(ChainError) as error:
                    node.batch(("eth_chainId", []))
                assert_scrubbed(error.value, SECRET)
