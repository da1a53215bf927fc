"""HttpVendor over real HTTP: any answer of a vendor becomes a checked value or a VendorError."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.vendors.answers import LOGS_MAX, METRICS_MAX, read_report
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Authorized, Quote, Reserved
from gpuagent.errors import VendorError, VendorUnauthorized
from tests.support.factories import VENDOR, WIRE_QUOTE, WIRE_STATUS, authorization, quote
from tests.support.scripted_server import ScriptedServer


@pytest.fixture(scope="module")
def api() -> Iterator[HttpVendor]:
    api = HttpVendor({"GPU_VENDOR_SECRET": "s"}.get)
    yield api
    api.close()


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


@pytest.mark.parametrize("job_id", ["", "a/b", "x" * 129, 7, None, ["a"], "a\u202eb", "a b"])
def test_a_job_id_that_cannot_be_kept(api: HttpVendor, scripted_server: ScriptedServer, job_id: Any) -> None:
    job = Authorized("a" * 24, quote(), 0, authorization(), "header")
    scripted_server.respond_with({"vendorJobId": job_id})
    if job_id == "":
        assert api.submit(scripted_server.vendor, job) == ""
    else:
        with pytest.raises(VendorError):
            api.submit(scripted_server.vendor, job)


def test_metrics_name_no_database_operators(api: HttpVendor, scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with({**WIRE_STATUS, "finalMetrics": {"$ref": "c", "$id": 1}})
    assert api.status(scripted_server.vendor, "v").final_metrics == {"ref": "c", "id": 1.0}


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
        report = client.status(scripted_server.vendor, "v")
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
    with pytest.raises(VendorError, match="without PAYMENT-REQUIRED"):
        api.challenge(scripted_server.vendor, Reserved("a" * 24, quote(), 0))
