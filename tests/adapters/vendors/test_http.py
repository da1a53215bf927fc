"""HttpVendor over real HTTP: any answer of a vendor becomes a checked value or a VendorError."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.vendors.answers import LOGS_MAX, METRICS_MAX, read_report
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Authorized, Quote, Reserved
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import JobStatus
from gpuagent.errors import VendorBusy, VendorError, VendorUnauthorized
from tests.support.factories import VENDOR, WIRE_QUOTE, WIRE_STATUS, authorization, quote
from tests.support.scripted_server import ScriptedServer


@pytest.fixture(scope="module")
def api() -> Iterator[HttpVendor]:
    api = HttpVendor({"GPU_VENDOR_SECRET": "s"}.get)
    yield api
    api.close()


def packed(value: Any) -> str:
    """The value as an x402 header."""
    return b64encode(json.dumps(value).encode()).decode()


def ask(api: HttpVendor, scripted_server: ScriptedServer) -> Quote:
    return api.quote(scripted_server.vendor, "goal", "A100", Decimal(1))


def test_a_good_quote_is_exact(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with(WIRE_QUOTE)
    assert ask(api, scripted_server) == quote(expires_at=1893456000.0, eta_s=3600.0)


@pytest.mark.parametrize(
    "change",
    [
        {"priceEstimate": 0},
        {"priceEstimate": -1.4},
        {"priceEstimate": 1.4000001},
        {"priceEstimate": True},
        {"priceEstimate": None},
        {"priceEstimate": "$1.40"},
        {"priceEstimate": 10**12},
        {"currency": "ETH"},
        {"expiresAt": "tomorrow"},
        {"expiresAt": "2030-01-01T00:00:00"},
        {"expiresAt": 1893456000},
        {"expiresAt": "9999-12-31T23:59:59-12:00"},
        {"etaMinutes": "soon"},
        {"vendorJobTemplateId": ""},
        {"vendorJobTemplateId": "x" * 129},
        {"vendorJobTemplateId": "a\nb"},
    ],
)
def test_a_bad_quote_is_a_vendor_error(
    api: HttpVendor, scripted_server: ScriptedServer, change: dict[str, Any]
) -> None:
    scripted_server.respond_with({**WIRE_QUOTE, **change})
    with pytest.raises(VendorError, match="a quote that cannot be read"):
        ask(api, scripted_server)


@pytest.mark.parametrize(
    "body", [b"1e999999999", b'{"priceEstimate": 1e999999999}', b"[]", b"", b"\xff", b"[" * 60_000]
)
def test_odd_bodies_are_a_vendor_error(api: HttpVendor, scripted_server: ScriptedServer, body: bytes) -> None:
    scripted_server.respond_with(body)
    with pytest.raises(VendorError):
        ask(api, scripted_server)


@pytest.mark.parametrize("status", [201, 400, 402, 404, 409, 429, 500, 503])
def test_another_status_is_a_vendor_error(api: HttpVendor, scripted_server: ScriptedServer, status: int) -> None:
    scripted_server.respond_with(WIRE_QUOTE, status)
    with pytest.raises(VendorError, match=f"answered {status}"):
        ask(api, scripted_server)


def test_token_and_endpoint_are_the_operators_to_mend(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with({}, 401)
    with pytest.raises(VendorUnauthorized, match="GPU_VENDOR_SECRET"):
        ask(api, scripted_server)
    with pytest.raises(VendorUnauthorized, match="set OTHER_SECRET"):
        api.quote(replace(scripted_server.vendor, secret_env="OTHER_SECRET"), "goal", "A100", Decimal(1))
    with pytest.raises(VendorError, match="must be https"):
        api.quote(replace(scripted_server.vendor, endpoint="http://gpu.example"), "goal", "A100", Decimal(1))


PAID = Authorized("a" * 24, quote(), 0, authorization(), "header")


@pytest.mark.parametrize("job_id", ["x" * 129, ["a"], True, 1.5, "a\u202eb", "a b", "=a", "a\x00"])
def test_a_job_id_that_cannot_be_kept(api: HttpVendor, scripted_server: ScriptedServer, job_id: Any) -> None:
    scripted_server.respond_with({"vendorJobId": job_id})
    with pytest.raises(VendorError, match="cannot be kept"):
        api.submit(scripted_server.vendor, PAID)


@pytest.mark.parametrize("body", [{}, {"vendorJobId": ""}, {"vendorJobId": None}, {"status": "queued"}, b""])
def test_a_paid_order_that_is_answered_without_a_job_is_owed_one(
    api: HttpVendor, scripted_server: ScriptedServer, body: Any
) -> None:
    scripted_server.respond_with(body, 202)
    assert api.submit(scripted_server.vendor, PAID).vendor_job_id == ""


@pytest.mark.safety("a paid order that is answered otherwise than by 200")
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 409])
def test_any_answer_that_names_the_job_is_the_job(
    api: HttpVendor, scripted_server: ScriptedServer, status: int
) -> None:
    scripted_server.respond_with({"vendorJobId": "v-1", "status": "queued", "token": "t", "poll": None}, status)
    assert api.submit(scripted_server.vendor, PAID).vendor_job_id == "v-1"


@pytest.mark.parametrize(
    ("body", "location", "job_id"),
    [
        ({"job_id": "v-1"}, "", "v-1"),
        ({"jobId": "v-1", "id": "request-9"}, "", "v-1"),
        ({"vendor_job_id": "v-1"}, "", "v-1"),
        ({"id": "v-1"}, "", "v-1"),
        ({"job": "v-1"}, "", "v-1"),
        ({"vendorJobId": 17}, "", "17"),
        ({"job": {"id": "v-1", "state": "queued"}, "id": "request-9"}, "", "v-1"),
        ({"data": {"vendorJobId": "v-1"}}, "", "v-1"),
        ({"result": {"job_id": "v-1"}}, "", "v-1"),
        ({"vendorJobId": "projects/a/jobs/01HZ=="}, "/jobs/other", "projects/a/jobs/01HZ=="),
        ({}, "https://gpu.example/v1/jobs/v-1", "v-1"),
        ({}, "/jobs/v%3A1/status", "v:1"),
        ({}, "/job-status?vendorJobId=v-1", "v-1"),
        (b"", "/job/v-1/", "v-1"),
        (b"<p>created</p>", "/jobs/v-1", "v-1"),
        ({}, "/orders/v-1", ""),
        ({}, "/jobs/", ""),
        ({}, "http://[/jobs/v-1", ""),
    ],
)
def test_a_job_is_named_in_the_body_or_by_its_url(
    api: HttpVendor, scripted_server: ScriptedServer, body: Any, location: str, job_id: str
) -> None:
    scripted_server.respond_with(body, 201, {"Location": location} if location else {})
    assert api.submit(scripted_server.vendor, PAID).vendor_job_id == job_id


@pytest.mark.parametrize("status", [302, 400, 402, 404, 409, 500, 503])
def test_a_paid_order_that_is_refused_is_no_job(api: HttpVendor, scripted_server: ScriptedServer, status: int) -> None:
    scripted_server.respond_with({"error": "no"} if status == 409 else {"vendorJobId": "v-1"}, status)
    with pytest.raises(VendorError, match=str(status)):
        api.submit(scripted_server.vendor, PAID)


@pytest.mark.parametrize("status", [402, 400, 409, 500])
def test_the_reason_of_a_refused_payment_is_kept_in_words(
    api: HttpVendor, scripted_server: ScriptedServer, status: int
) -> None:
    """Of both headers and of the body, without our token, on one line, cut."""
    receipt = {"success": False, "errorReason": "insufficient_funds", "errorMessage": "Bearer secret-token\n!"}
    offer = {"x402Version": 2, "error": "payment \x1b[31mrefused" + "x" * 999, "accepts": []}
    headers = {"PAYMENT-RESPONSE": packed(receipt), "PAYMENT-REQUIRED": packed(offer)}
    scripted_server.respond_with({"message": "see the headers"}, status, headers)
    client = HttpVendor({"GPU_VENDOR_SECRET": "secret-token"}.get)
    with closing(client), pytest.raises(VendorError) as error:
        client.submit(scripted_server.vendor, PAID)
    text = str(error.value)
    assert f"answered {status} to /submit-job: insufficient_funds: Bearer [token]" in text
    assert "payment " in text
    assert text.endswith('; {"message": "see the headers"}')
    assert text.isprintable()
    assert len(text) < 800


def test_a_receipt_that_says_failed_is_kept_where_no_job_is_named(
    api: HttpVendor, scripted_server: ScriptedServer
) -> None:
    """It says nothing of the money; with a job named, it says nothing at all."""
    headers = {"PAYMENT-RESPONSE": packed({"success": False, "errorReason": "invalid_exact_evm_signature"})}
    scripted_server.respond_with({"status": "submitted"}, 200, headers)
    with pytest.raises(VendorBusy, match=r"submit-job: invalid_exact_evm_signature; .* names no job"):
        api.submit(scripted_server.vendor, PAID)
    scripted_server.respond_with({"vendorJobId": "v-1"}, 200, headers)
    assert api.submit(scripted_server.vendor, PAID).vendor_job_id == "v-1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"error": "in progress", "id": "req_1"}, {}),
        ({"error": {"id": "req_1"}, "data": {"id": "req_2"}}, {}),
        ({"error": "see there"}, {"Location": "https://vendor.example/docs/jobs/errors"}),
        ({"error": "again", "job": "retry"}, {}),
    ],
    ids=str,
)
def test_the_id_of_an_error_is_no_jobs_name(
    api: HttpVendor, scripted_server: ScriptedServer, body: dict[str, Any], headers: dict[str, str]
) -> None:
    scripted_server.respond_with(body, 409, headers=headers)
    with pytest.raises(VendorError, match="answered 409 to /submit-job: "):
        api.submit(scripted_server.vendor, PAID)


@pytest.mark.parametrize("body", [b"<h1>conflict</h1>", {"vendorJobId": "a b"}, b""])
def test_a_conflict_that_names_no_job_keeps_its_words(
    api: HttpVendor, scripted_server: ScriptedServer, body: Any
) -> None:
    scripted_server.respond_with(body, 409)
    with pytest.raises(VendorError, match="answered 409 to /submit-job: "):
        api.submit(scripted_server.vendor, PAID)


def test_a_token_that_is_echoed_as_a_job_is_not_kept(scripted_server: ScriptedServer) -> None:
    client = HttpVendor({"GPU_VENDOR_SECRET": "secret-token"}.get)
    with closing(client):
        for body, location in (({"vendorJobId": "secret-token"}, ""), ({}, "/jobs/secret-token")):
            scripted_server.respond_with(body, 201, {"Location": location} if location else {})
            with pytest.raises(VendorError, match="cannot be kept"):
                client.submit(scripted_server.vendor, PAID)


@pytest.mark.parametrize("header", ["!", packed([]), packed({"errorReason": 7, "error": None}), "e" * 20_000])
def test_headers_that_cannot_be_read_say_nothing(api: HttpVendor, scripted_server: ScriptedServer, header: str) -> None:
    scripted_server.respond_with({"error": "no"}, 402, {"PAYMENT-RESPONSE": header})
    with pytest.raises(VendorError, match=r'answered 402 to /submit-job: {"error": "no"}$'):
        api.submit(scripted_server.vendor, PAID)


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        (4.199999999999999, 4_200_000),
        (4.2, 4_200_000),
        (0.1 + 0.2, 300_000),
        (1.1 * 1.1 * 100, 121_000_000),
        (1.4000000000000001, 1_400_000),
        (1e-06, 1),
    ],
)
def test_a_price_with_the_noise_of_a_float_is_its_nearest_amount(
    api: HttpVendor, scripted_server: ScriptedServer, price: float, amount: int
) -> None:
    scripted_server.respond_with({**WIRE_QUOTE, "priceEstimate": price})
    assert ask(api, scripted_server).amount == amount


@pytest.mark.parametrize("price", [4.1999999, 4.20000001, 4.2000005, 1e-07, 1e-12])
def test_a_price_that_is_off_by_more_than_noise_is_refused(
    api: HttpVendor, scripted_server: ScriptedServer, price: float
) -> None:
    scripted_server.respond_with({**WIRE_QUOTE, "priceEstimate": price})
    with pytest.raises(VendorError, match="a quote that cannot be read"):
        ask(api, scripted_server)


@pytest.mark.parametrize("status", [200, 202, 203])
def test_a_report_needs_its_state_alone(api: HttpVendor, scripted_server: ScriptedServer, status: int) -> None:
    """What else cannot be read is left out, so that a job that is alive does not count as silent."""
    odd = {"state": "queued", "progress": "soon", "logs": None, "finalMetrics": ["x"], "errorMessage": None}
    scripted_server.respond_with(odd, status)
    report = api.status(scripted_server.vendor, VendorJob("v"))
    assert (report.status, report.word, report.progress) == (JobStatus.SUBMITTED, "queued", 0.0)
    assert (report.logs, report.final_metrics) == ((), {})
    scripted_server.respond_with({"status": "running", "progress": None, "logs": "a\nb"}, status)
    report = api.status(scripted_server.vendor, VendorJob("v"))
    assert (report.status, report.word, report.logs) == (JobStatus.RUNNING, "", ("a", "b"))


@pytest.mark.parametrize(
    ("body", "status", "headers", "error"),
    [
        ({"status": None}, 200, {}, VendorBusy),
        ({"progress": 0.4}, 200, {}, VendorBusy),
        ({"status": {"state": "running"}}, 200, {}, VendorBusy),
        (b"", 200, {}, VendorBusy),
        (b"\n", 202, {}, VendorBusy),
        ({}, 429, {}, VendorBusy),
        ({}, 425, {}, VendorBusy),
        ({}, 503, {"Retry-After": "60"}, VendorBusy),
        ({}, 401, {}, VendorUnauthorized),
        ({}, 403, {}, VendorUnauthorized),
        ({}, 503, {}, VendorError),
        ({}, 404, {}, VendorError),
        ({}, 410, {}, VendorError),
        ({}, 500, {}, VendorError),
        ({}, 502, {}, VendorError),
        ({}, 302, {"Location": "/login"}, VendorError),
        (b"<html>", 200, {}, VendorError),
        ([], 200, {}, VendorError),
    ],
)
def test_what_is_an_answer_and_what_is_silence(
    api: HttpVendor, scripted_server: ScriptedServer, body: Any, status: int, headers: Any, error: type[VendorError]
) -> None:
    scripted_server.respond_with(body, status, headers)
    with pytest.raises(VendorError) as raised:
        api.status(scripted_server.vendor, VendorJob("v"))
    assert type(raised.value) is error


def test_metrics_name_no_database_operators(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with({**WIRE_STATUS, "finalMetrics": {"$ref": "c", "$id": 1}})
    assert api.status(scripted_server.vendor, VendorJob("v")).final_metrics == {"ref": "c", "id": 1.0}


@pytest.mark.parametrize("padding", [0, 285])
def test_a_token_that_is_echoed_is_not_kept(scripted_server: ScriptedServer, padding: int) -> None:
    """Nor a part of it, where the answer is cut."""
    scripted_server.respond_with(b"x" * padding + b" Bearer secret-token", 500)
    client = HttpVendor({"GPU_VENDOR_SECRET": "secret-token"}.get)
    with closing(client), pytest.raises(VendorError) as error:
        ask(client, scripted_server)
    assert "secret" not in str(error.value)


def test_a_token_that_is_echoed_in_a_report_is_not_kept(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    """However it is spelled."""
    answer = json.dumps(
        {**WIRE_STATUS, "logs": ["Bearer secret-token"], "finalMetrics": {"secret-token": "secret-token"}}
    )
    scripted_server.respond_with(answer.replace("secret-token", "\\u0073ecret-token").encode())
    client = HttpVendor({"GPU_VENDOR_SECRET": "secret-token"}.get)
    with closing(client):
        report = client.status(scripted_server.vendor, VendorJob("v"))
    assert report.logs == ("Bearer [token]",)
    assert report.final_metrics == {"[token]": "[token]"}


def test_a_report_is_cut_to_what_is_kept() -> None:
    """Lines, metrics, and the length of each text."""
    long = {
        "status": "running",
        "logs": ["x" * 3_000, *("line" for _ in range(LOGS_MAX))],
        "finalMetrics": {f"m{number}": "y" * 300 for number in range(METRICS_MAX + 1)},
        "errorMessage": "z" * 3_000,
    }
    report = read_report(VENDOR, long)
    assert (len(report.logs), len(report.logs[0]), len(report.error_message)) == (LOGS_MAX, 2_000, 2_000)
    assert len(report.final_metrics) == METRICS_MAX
    assert all(len(str(value)) == 200 for value in report.final_metrics.values())


def test_402_without_an_offer(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with({}, 402)
    with pytest.raises(VendorError, match="without PAYMENT-REQUIRED, and its body is no offer"):
        api.challenge(scripted_server.vendor, Reserved("a" * 24, quote(), 0))
