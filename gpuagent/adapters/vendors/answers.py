"""Strict reading of vendors' answers: a checked value, or a VendorError that says what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from gpuagent.adapters.vendors.manifest import read_checkpoint, read_files
from gpuagent.adapters.vendors.news import (
    CURSOR_MAX,
    METRICS_MAX,
    WORD_MAX,
    metric_name,
    metric_value,
    read_cursor,
    read_exit_code,
    read_phase,
    read_rows,
)
from gpuagent.core.model import Quote, Vendor
from gpuagent.core.money import nearest_usd, parse_usd
from gpuagent.core.orders import ACCEPTS, WORKLOAD, workload_sha256
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import BadInput, VendorBusy, VendorError
from gpuagent.wire import strict_json
from gpuagent.wire.vendor_words import STATE_NAMES, status_of

LOGS_MAX = 5_000
ETA_MAX_S = 10.0**9
YEAR_MAX = 2200
ACCEPTS_MAX = 100
"""Words of what a vendor accepts that are looked at."""
T = TypeVar("T")


def read_object(vendor: Vendor, body: bytes, read_constant: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The answer's object. read_constant: takes NaN and Infinity, which are refused without it."""
    try:
        data = strict_json.parse(body, read_constant)
    except ValueError as error:
        raise VendorError(f"{vendor.vendor_id} answered something that is not JSON") from error
    if not isinstance(data, dict):
        raise VendorError(f"{vendor.vendor_id} answered JSON that is not an object")
    return data


def read_quote(vendor: Vendor, data: Mapping[str, Any], gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
    """The vendor's price, which for an order is a price of just that: it repeats the hash of the order's workload."""
    quote = _read(vendor, "quote", lambda: _quote(vendor, data, gpu_type, max_hours))
    if not order:
        return quote
    listed = data.get("accepts")
    listed = listed[:ACCEPTS_MAX] if isinstance(listed, list) else []
    accepts = tuple(word for word in ACCEPTS if word in listed)
    repeated, sent = data.get("workloadHash"), workload_sha256(order)
    if WORKLOAD in accepts and (not isinstance(repeated, str) or repeated.lower() != sent):
        answer = f"repeats the workloadHash {clean(repeated, 70)}" if isinstance(repeated, str) else "repeats no hash"
        raise VendorError(
            f"{vendor.vendor_id} accepts workloads and {answer} for one of {sent}: its price may be for other work. It "
            "is to hash the canonical JSON of `workload` (sorted keys, compact, UTF-8)"
        )
    return replace(quote, order=order, accepts=accepts)


def read_report(vendor: Vendor, data: Mapping[str, Any]) -> JobReport:
    """The vendor's news of a job. Only its state is needed: what else cannot be read is left out. Raises VendorBusy."""
    word = next((data[name] for name in STATE_NAMES if data.get(name)), None)
    if not isinstance(word, str):
        raise VendorBusy(f"{vendor.vendor_id} sent a status that names no state of the job")
    return _report(word, data)


def _read(vendor: Vendor, what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, ArithmeticError, BadInput) as error:
        problem = clean(f"{type(error).__name__}: {error}", 200)
        raise VendorError(f"{vendor.vendor_id} sent a {what} that cannot be read ({problem})") from error


def _quote(vendor: Vendor, data: Mapping[str, Any], gpu_type: str, max_hours: Decimal) -> Quote:
    amount = _price(data["priceEstimate"])
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
        eta_s=min(max(0.0, float(_number(data["etaMinutes"])) * 60), ETA_MAX_S),
        gpu_type=gpu_type,
        max_hours=max_hours,
    )


def _price(value: object) -> int:
    """Atomic units. Noise of a float is taken off; the 402 must then ask for just that."""
    return parse_usd(nearest_usd(value) if isinstance(value, Decimal) else value)  # type: ignore[arg-type]


def _report(word: str, data: Mapping[str, Any]) -> JobReport:
    status = status_of(word)
    logs = data.get("logs")
    logs = logs.splitlines() if isinstance(logs, str) else logs if isinstance(logs, list) else []
    cursor = read_cursor(data.get("cursor"))
    if cursor:
        logs = logs[-LOGS_MAX:]  # news: what is left out is the oldest of it
    files, refused = read_files(data.get("files"))
    checkpoint, objections = read_checkpoint(data.get("checkpoint"))
    phase = read_phase(data.get("phase")) or clean(word, WORD_MAX)
    if data.get("cursor") not in (None, "") and not cursor:
        objections += (f"the cursor is no line of at most {CURSOR_MAX} characters",)
    metrics = data.get("finalMetrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    return JobReport(
        status=status or JobStatus.RUNNING,
        progress=_progress(data.get("progress")),
        logs=tuple(clean(str(line)) for line in logs[:LOGS_MAX]),
        final_metrics={metric_name(k): metric_value(v) for k, v in list(metrics.items())[:METRICS_MAX]},
        artifact_url=clean(str(data.get("artifactUrl") or "")),
        error_message=clean(str(data.get("errorMessage") or "")),
        word="" if phase == status else phase,
        exit_code=read_exit_code(data.get("exitCode")),
        cursor=cursor,
        metrics=read_rows(data.get("metrics")),
        files=files,
        checkpoint=checkpoint,
        refused=refused + objections,
    )


def _progress(value: object) -> float:
    """From 0 to 1; 0 where it is no number, since a job that is alive may not know."""
    try:
        return min(1.0, max(0.0, float(_number(value))))
    except (TypeError, OverflowError):
        return 0.0


def _time(value: object) -> float:
    time = datetime.fromisoformat(_text(value, 40))
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    if time.year > YEAR_MAX:
        raise ValueError("a time too far ahead")
    return time.timestamp()


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        raise TypeError(f"{clean(str(value), 40)!r} is not a number")
    return Decimal(value)


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str) or not value or clean(value, limit) != value:
        raise TypeError("a text is missing, too long or holds control characters")
    return value
