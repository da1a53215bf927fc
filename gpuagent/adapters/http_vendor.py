"""The vendor API over HTTP. Whatever a vendor answers becomes a checked value or a VendorError."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gpuagent.errors import BadInput, OfferInvalid, VendorError, VendorUnauthorized
from gpuagent.model import Authorized, Challenge, JobReport, Quote, Reserved, Settled, Vendor
from gpuagent.money import parse_usd
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply
from gpuagent.wire.exact import decode_challenge

TEXT_MAX = 2_000
LOGS_MAX = 5_000
METRICS_MAX = 32
ETA_MAX_S = 10.0**9
STATUS_BODY_MAX = 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_JOB_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
T = TypeVar("T")


class HttpVendor:
    """Speaks to every vendor at its recorded endpoint. secret: the bearer token in a named variable."""

    def __init__(
        self,
        secret: Callable[[str], str | None],
        quote_s: float = 5,
        submit_s: float = 20,
        status_s: float = 10,
    ) -> None:
        self._secret = secret
        self._quotes = BoundedHttp(quote_s)
        self._submits = BoundedHttp(submit_s)
        self._statuses = BoundedHttp(status_s, STATUS_BODY_MAX)

    def close(self) -> None:
        for client in (self._quotes, self._submits, self._statuses):
            client.close()

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal) -> Quote:
        body = {
            "jobType": "training",
            "gpuType": gpu_type,
            "maxHours": float(max_hours),
            "jobMetadata": {"goal": goal},
        }
        data = _json(self._call(self._quotes, vendor, "POST", "/quote", body=body), vendor)
        return _read(vendor, "quote", lambda: _quote(vendor, data, gpu_type, max_hours))

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        reply = self._call(self._submits, vendor, "POST", "/submit-job", body=_order(job), key=job.job_id, expect=402)
        header = reply.headers.get("payment-required")
        if not header:
            raise OfferInvalid(f"{vendor.vendor_id} answered 402 without PAYMENT-REQUIRED")
        return decode_challenge(header)

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> str:
        reply = self._call(
            self._submits,
            vendor,
            "POST",
            "/submit-job",
            body=_order(job),
            key=job.job_id,
            headers={"PAYMENT-SIGNATURE": job.header},
        )
        job_id = _json(reply, vendor).get("vendorJobId", "")
        if not isinstance(job_id, str) or not (job_id == "" or _JOB_ID.fullmatch(job_id)):
            raise VendorError(f"{vendor.vendor_id} named its job in a way that cannot be kept")
        return job_id

    def status(self, vendor: Vendor, vendor_job_id: str) -> JobReport:
        params = {"vendorJobId": vendor_job_id}
        data = _json(self._call(self._statuses, vendor, "GET", "/job-status", params=params), vendor)
        return _read(vendor, "status", lambda: _report(data))

    def _call(
        self,
        client: BoundedHttp,
        vendor: Vendor,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        expect: int = 200,
    ) -> Reply:
        sent = {
            "Authorization": f"Bearer {self._token(vendor)}",
            "x-vendor-id": vendor.vendor_id,
            **(headers or {}),
        }
        if key:
            sent["Idempotency-Key"] = key
        try:
            reply = client.request(method, _url(vendor, path), headers=sent, json=body, params=params)
        except HttpFailed as error:
            raise VendorError(f"{vendor.vendor_id} does not answer: {clean(str(error))}") from error
        if reply.status in (401, 403):
            raise VendorUnauthorized(
                f"{vendor.vendor_id} refuses the bearer token in {vendor.secret_env}: set the vendor's own secret there"
            )
        if reply.status != expect:
            said = clean(reply.body[:300].decode(errors="replace"))
            raise VendorError(f"{vendor.vendor_id} answered {reply.status} to {path}: {said}")
        return reply

    def _token(self, vendor: Vendor) -> str:
        token = self._secret(vendor.secret_env)
        if not token:
            raise VendorUnauthorized(f"set {vendor.secret_env}: it holds the bearer token for {vendor.vendor_id}")
        return token


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Vendor text as inert data: one line, no control characters, capped."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _url(vendor: Vendor, path: str) -> str:
    parts = urlsplit(vendor.endpoint)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise VendorError(f"the endpoint of {vendor.vendor_id} must be https (http only on this machine)")
    return vendor.endpoint.rstrip("/") + path


def _order(job: Reserved | Authorized | Settled) -> dict[str, object]:
    """The same body for every submit of a job: a vendor may compare them."""
    params = {"gpuType": job.quote.gpu_type, "maxHours": float(job.quote.max_hours)}
    return {"vendorJobTemplateId": job.quote.template_id, "jobParams": params}


def _json(reply: Reply, vendor: Vendor) -> dict[str, Any]:
    try:
        data = strict_json.parse(reply.body)
    except ValueError as error:
        raise VendorError(f"{vendor.vendor_id} answered something that is not JSON") from error
    if not isinstance(data, dict):
        raise VendorError(f"{vendor.vendor_id} answered JSON that is not an object")
    return data


def _read(vendor: Vendor, what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError, BadInput) as error:
        said = clean(f"{type(error).__name__}: {error}", 200)
        raise VendorError(f"{vendor.vendor_id} sent a {what} that cannot be read ({said})") from error


def _quote(vendor: Vendor, data: Mapping[str, Any], gpu_type: str, max_hours: Decimal) -> Quote:
    amount = parse_usd(data["priceEstimate"])
    if amount <= 0:
        raise ValueError("a price of nothing")
    if data["currency"] not in ("USDC", "USD"):
        raise ValueError(f"currency {data['currency']!r}")
    return Quote(
        vendor_id=vendor.vendor_id,
        template_id=_text(data["vendorJobTemplateId"], 128),
        amount=amount,
        pay_to=_text(data["payTo"], 64),
        network=_text(data["network"], 64),
        asset=_text(data["asset"], 64),
        expires_at=_time(data["expiresAt"]),
        eta_s=min(float(_number(data["etaMinutes"])) * 60, ETA_MAX_S),
        gpu_type=gpu_type,
        max_hours=max_hours,
    )


def _report(data: Mapping[str, Any]) -> JobReport:
    status = data["status"]
    if status not in ("submitted", "running", "completed", "failed"):
        raise ValueError(f"status {status!r}")
    logs = data.get("logs") or []
    metrics = data.get("finalMetrics") or {}
    if not isinstance(logs, list) or not isinstance(metrics, dict):
        raise TypeError("logs or finalMetrics of another shape")
    return JobReport(
        status=status,
        progress=min(1.0, max(0.0, float(_number(data.get("progress", 0))))),
        logs=tuple(clean(str(line)) for line in logs[:LOGS_MAX]),
        final_metrics={clean(str(k), 64): _metric(v) for k, v in list(metrics.items())[:METRICS_MAX]},
        artifact_url=clean(str(data.get("artifactUrl") or "")),
        error_message=clean(str(data.get("errorMessage") or "")),
    )


def _metric(value: object) -> object:
    number = float(value) if isinstance(value, int | Decimal) else math.nan
    return number if math.isfinite(number) else clean(str(value), 200)


def _time(value: object) -> float:
    time = datetime.fromisoformat(_text(value, 40))
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time.timestamp()


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        raise TypeError(f"{clean(str(value), 40)!r} is not a number")
    return Decimal(value)


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str) or not value or clean(value, limit) != value:
        raise TypeError("a text is missing, too long or holds control characters")
    return value
