"""A vendor that has no accounts, no quotes, or its own way to answer: what is taken of it, and what is not."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.calls import own_url
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.adapters.vendors.no_files import NoFiles
from gpuagent.adapters.vendors.probe import PROBE_S
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.core.model import NO_ACCESS, Authorized, JobAccess, Receipt, Reserved, Submitted, Vendor
from gpuagent.core.orders import order_text
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobStatus
from gpuagent.core.workload import Workload
from gpuagent.errors import OfferInvalid, PayeeChanged, VendorError, VendorUnauthorized
from tests.support.factories import (
    NOW,
    TOKEN,
    VENDOR,
    WIRE_QUOTE,
    WIRE_STATUS,
    WIRE_TERMS,
    authorization,
    quote,
)
from tests.support.scripted_server import ScriptedServer

JOB_TOKEN = "job-token-0123456789"
OFFER = {"x402Version": 2, "accepts": [WIRE_TERMS]}


@pytest.fixture(scope="module")
def api() -> Iterator[HttpVendor]:
    api = HttpVendor({"GPU_VENDOR_SECRET": "account-secret-1"}.get, now=lambda: NOW)
    yield api
    api.close()


@pytest.fixture
def stranger(scripted_server: ScriptedServer) -> Vendor:
    return replace(scripted_server.vendor, secret_env="")


def packed(value: Any) -> str:
    return b64encode(json.dumps(value).encode()).decode()


PAID = Authorized("a" * 24, quote(), 0, authorization(), packed({"x402Version": 2}))


def test_the_price_of_a_vendor_without_quotes_is_what_an_unpaid_order_is_asked_for(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    for status in (404, 405, 501):
        scripted_server.respond_with({"error": "no such route"}, status)
        scripted_server.respond_at("/submit-job", OFFER, 402)
        answer = api.quote(stranger, "goal", "A100", Decimal(1))
        assert answer == quote(template_id="", expires_at=NOW + PROBE_S, eta_s=0.0)
        assert [path for path, _ in scripted_server.requests] == ["/quote", "/submit-job"]
        assert not {"PAYMENT-SIGNATURE", "X-PAYMENT", "Idempotency-Key"} & set(scripted_server.request_headers)
        asked = scripted_server.requests[-1][1]
        api.challenge(stranger, Reserved("a" * 24, answer, 0))
        assert scripted_server.requests[-1][1] == asked, "the price is that of the same order"


@pytest.mark.safety("a vendor without quotes, which policy may keep the user's files from: none goes with a question")
def test_no_file_goes_to_a_vendor_that_is_only_asked_for_its_price(
    scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    """Who may have files is decided on quotes: what is asked before that has none in it."""
    private = b"import secrets_of_the_house"
    entry = {"path": "train.py", "sha256": sha256(private).hexdigest(), "bytes": len(private)}
    workload = Workload.model_validate({"name": "job", "command": "python train.py", "inputs": [entry]})
    scripted_server.respond_with({"error": "no such route"}, 404)
    scripted_server.respond_at("/submit-job", OFFER, 402)
    read: list[str] = []

    def content(name: str) -> bytes:
        read.append(name)
        return private

    api = HttpVendor({}.get, content=content, now=lambda: NOW)
    with closing(api), pytest.raises(VendorError, match="no files"):
        api.quote(stranger, "goal", "A100", Decimal(1), order_text(workload.canonical, None))
    assert read == []
    assert b64encode(private) not in b"".join(body for _, body in scripted_server.requests)
    assert [path for path, _ in scripted_server.requests] == ["/quote"]


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        ({**OFFER, "accepts": [{**WIRE_TERMS, "payTo": "0x" + "d" * 40}]}, "another payee"),
        ({**OFFER, "accepts": [{**WIRE_TERMS, "network": "eip155:1"}]}, "another network"),
        ({**OFFER, "x402Version": 1}, "recorded with 2"),
        ({}, "no offer"),
    ],
)
def test_an_unpaid_order_that_names_no_recorded_price_is_no_quote(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor, offer: Any, why: str
) -> None:
    scripted_server.respond_with({"error": "no such route"}, 404)
    scripted_server.respond_at("/submit-job", offer, 402)
    with pytest.raises(VendorError, match=why):
        api.quote(stranger, "goal", "A100", Decimal(1))
    scripted_server.respond_with({"error": "no such GPU"}, 400)
    with pytest.raises(VendorError, match="no such GPU"):
        api.quote(stranger, "goal", "A100", Decimal(1))
    assert len(scripted_server.requests) == 1, "it has quotes, and refuses this one"


def test_a_changed_payee_is_one_without_quotes_too(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    """The vendor is halted by the kind of the error."""
    other = "0x" + "d" * 40
    scripted_server.respond_with({"error": "no such route"}, 404)
    scripted_server.respond_at("/submit-job", {**OFFER, "accepts": [{**WIRE_TERMS, "payTo": other}]}, 402)
    with pytest.raises(PayeeChanged) as caught:
        api.quote(stranger, "goal", "A100", Decimal(1))
    assert caught.value.payee == other


def test_nothing_is_sent_to_identify_us_where_there_is_no_account(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    scripted_server.respond_with(WIRE_QUOTE)
    api.quote(stranger, "goal", "A100", Decimal(1))
    assert "Authorization" not in scripted_server.request_headers
    api.quote(scripted_server.vendor, "goal", "A100", Decimal(1))
    assert scripted_server.request_headers["Authorization"] == "Bearer account-secret-1"
    scripted_server.respond_with({}, 401)
    with pytest.raises(VendorUnauthorized, match="names no variable"):
        api.quote(stranger, "goal", "A100", Decimal(1))


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("token_name", ["token", "access_key"])
@pytest.mark.parametrize("poll", ["/jobs/job-7", "ORIGIN/jobs/job-7"])
def test_a_paid_order_may_be_answered_with_a_token_and_a_place_to_ask(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor, status: int, token_name: str, poll: str
) -> None:
    poll = poll.replace("ORIGIN", stranger.endpoint)
    settled = packed({"success": True, "transaction": "0x" + "5" * 64, "network": TOKEN.network})
    body = {"job_id": "job-7", "status": "queued", token_name: JOB_TOKEN, "poll": poll}
    scripted_server.respond_with(body, status, {"PAYMENT-RESPONSE": settled})
    access = JobAccess(JOB_TOKEN, f"{stranger.endpoint}/jobs/job-7")
    answer = api.submit(stranger, PAID)
    assert answer == Submitted("job-7", access, Receipt(True, "0x" + "5" * 64, TOKEN.network))
    assert JOB_TOKEN not in repr(answer)
    scripted_server.respond_with({**WIRE_STATUS, "logs": [f"I was asked with {JOB_TOKEN}"]})
    report = api.status(stranger, VendorJob("job-7", access))
    assert scripted_server.requests == [("/jobs/job-7", b"")]
    assert scripted_server.request_headers["Authorization"] == f"Bearer {JOB_TOKEN}"
    assert report.status is JobStatus.RUNNING
    assert JOB_TOKEN not in report.logs[0]
    api.cancel(stranger, VendorJob("job-7", access))
    assert scripted_server.request_headers["Authorization"] == f"Bearer {JOB_TOKEN}"


@pytest.mark.safety("a place to ask for a job that is on another host: no token goes there")
@pytest.mark.parametrize(
    "poll",
    [
        "https://evil.example/jobs/7",
        "//evil.example/jobs/7",
        "http://127.0.0.1:1/jobs/7",
        "http://user@ENDPOINT/jobs/7",
        "ENDPOINT@evil.example/jobs/7",
        "\\\\evil.example\\jobs",
        "https:/evil.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "/jobs/ü",
        "/jobs/7\r\nX: y",
        "http://[",
        "/" + "x" * 3_000,
        7,
    ],
)
def test_a_place_to_ask_on_another_origin_is_none(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor, poll: Any
) -> None:
    poll = poll.replace("ENDPOINT", stranger.endpoint.removeprefix("http://")) if isinstance(poll, str) else poll
    scripted_server.respond_with({"job_id": "job-7", "token": JOB_TOKEN, "poll": poll}, 202)
    assert api.submit(stranger, PAID) == Submitted("job-7", JobAccess(JOB_TOKEN, ""))


@pytest.mark.safety("a vendor's record that names another server than the one that its job was ordered at")
def test_a_place_to_ask_is_held_against_the_record_as_it_is_when_asked(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    scripted_server.respond_with(WIRE_STATUS)
    api.status(stranger, VendorJob("job-7", JobAccess(JOB_TOKEN, "http://127.0.0.1:1/jobs/job-7")))
    ((path, _),) = scripted_server.requests
    assert path.startswith("/job-status?vendorJobId=job-7")


def test_a_place_to_ask_keeps_its_own_query(api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor) -> None:
    scripted_server.respond_with(WIRE_STATUS)
    access = JobAccess("", f"{stranger.endpoint}/status?key=a%2Fb&job=7")
    api.status(stranger, VendorJob("job-7", access))
    api.status(stranger, VendorJob("job-7", access), "mark 2")
    assert [path for path, _ in scripted_server.requests] == [
        "/status?key=a%2Fb&job=7",
        "/status?key=a%2Fb&job=7&after=mark+2",
    ]


def test_an_origin_is_scheme_host_and_port() -> None:
    own = replace(VENDOR, endpoint="https://gpu.example/x402")
    for text in ("/a", "https://gpu.example/a", "https://gpu.example:443/a", "https://GPU.example/a", "b?c=d"):
        assert own_url(own, text)
    for text in ("http://gpu.example/a", "https://gpu.example:444/a", "https://api.gpu.example/a", "", "#"):
        assert own_url(own, text) == ""


@pytest.mark.parametrize("token", ["", 7, None, "two words", "ü", "a\nb", "x" * 5_000, ["a"]])
def test_a_token_that_cannot_be_sent_is_none(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor, token: object
) -> None:
    scripted_server.respond_with({"job_id": "job-7", "token": token}, 202)
    assert api.submit(stranger, PAID) == Submitted("job-7", NO_ACCESS)


@pytest.mark.safety("an answer that is no job's, and has a job's token in it: no error repeats the token")
@pytest.mark.parametrize("status", [200, 402, 409, 503])
@pytest.mark.parametrize("place", ["", "job"])
def test_a_token_in_an_answer_that_is_an_error_is_not_repeated(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor, status: int, place: str
) -> None:
    secret, poll = f"key-of-{status}-{place}-9876543210", f"/jobs/secret-of-{status}-{place}-0123456789"
    access = {"access_key": secret, "poll": poll}
    body = {"error": "provisioning failed", **({place: access} if place else access)}
    refusal = packed({"success": False, "errorReason": "later"})
    scripted_server.respond_with(body, status, {"PAYMENT-RESPONSE": refusal} if status == 200 else {})
    with pytest.raises(VendorError, match="provisioning failed") as caught:
        api.submit(stranger, PAID)
    assert secret not in str(caught.value)
    assert poll not in str(caught.value)


def test_a_vendor_with_accounts_is_asked_with_ours(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with(WIRE_STATUS)
    api.status(scripted_server.vendor, VendorJob("job-7", JobAccess(JOB_TOKEN)))
    assert scripted_server.request_headers["Authorization"] == "Bearer account-secret-1"


def test_a_payment_of_version_1_goes_under_its_own_name(
    api: HttpVendor, scripted_server: ScriptedServer, stranger: Vendor
) -> None:
    old = replace(stranger, x402_version=1)
    entry = {**WIRE_TERMS, "network": "local", "maxAmountRequired": "1400000", "resource": "https://gpu.example"}
    scripted_server.respond_with({"x402Version": 1, "accepts": [entry]}, 402)
    (terms,) = api.challenge(old, Reserved("a" * 24, quote(), 0)).accepts
    assert (terms.network, terms.amount, terms.echo.version) == (TOKEN.network, "1400000", 1)
    with pytest.raises(OfferInvalid, match="recorded with 2"):
        api.challenge(stranger, Reserved("a" * 24, quote(), 0))
    scripted_server.respond_with({"job_id": "job-7"}, 200, {"X-PAYMENT-RESPONSE": packed({"success": True})})
    header = packed({"x402Version": 1})
    assert api.submit(old, replace(PAID, header=header)).receipt == Receipt(True, "", "")
    assert scripted_server.request_headers["X-PAYMENT"] == header
    assert "PAYMENT-SIGNATURE" not in scripted_server.request_headers


def test_the_registry_asks_the_adapter_that_the_record_names() -> None:
    class Closing(NoFiles):
        closed = 0

        def __init__(self, parts: Parts) -> None:
            assert parts.now() == NOW

        def cancel(self, vendor: Vendor, *_: object) -> str:
            return f"stopped at {vendor.vendor_id}"

        def close(self) -> None:
            Closing.closed += 1

    parts = Parts({}.get, lambda: NOW, lambda _: b"")
    registry = VendorRegistry(parts, {"odd/1": Closing})  # type: ignore[dict-item]
    odd = replace(VENDOR, protocol="odd/1")
    assert [registry.cancel(odd, VendorJob("job-7")) for _ in range(2)] == [f"stopped at {odd.vendor_id}"] * 2
    with pytest.raises(VendorError, match=r"speaks gpuagent/1, and this agent speaks odd/1"):
        registry.cancel(VENDOR, VendorJob("job-7"))
    file = FileEntry("a", 1, "0" * 64)
    with pytest.raises(VendorError, match="has no files"):
        list(registry.read_file(odd, VendorJob("job-7"), file, 0, 1.0))
    with pytest.raises(VendorError, match="has no files"):
        registry.send_input(odd, Reserved("a" * 24, quote(), 0), file, 0, [])
    with pytest.raises(VendorError, match="has no files"):
        registry.input_received(odd, Reserved("a" * 24, quote(), 0), file)
    registry.close()
    assert Closing.closed == 1
