"""Strict reading of vendors' answers: a checked value, or a VendorError that says what is wrong with it."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from gpuagent.core.model import Quote, Vendor
from gpuagent.core.money import nearest_usd, parse_usd
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import BadInput, VendorBusy, VendorError
from gpuagent.wire import strict_json
from gpuagent.wire.vendor_words import STATE_NAMES, status_of

LOGS_MAX = 5_000
METRICS_MAX = 32
ETA_MAX_S = 10.0**9
YEAR_MAX = 2200
WORD_MAX = 64
"""Characters of a vendor's word for a job's state."""
T = TypeVar("T")


def read_object(vendor: Vendor, body: bytes) -> dict[str, Any]:
    try:
        data = strict_json.parse(body)
    except ValueError as error:
        raise VendorError(f"{vendor.vendor_id} answered something that is not JSON") from error
    if not isinstance(data, dict):
        raise VendorError(f"{vendor.vendor_id} answered JSON that is not an object")
    return data


def read_quote(vendor: Vendor, data: Mapping[str, Any], gpu_type: str, max_hours: Decimal) -> Quote:
    return _read(vendor, "quote", lambda: _quote(vendor, data, gpu_type, max_hours))


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
    metrics = data.get("finalMetrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    return JobReport(
        status=status or JobStatus.RUNNING,
        progress=_progress(data.get("progress")),
        logs=tuple(clean(str(line)) for line in logs[:LOGS_MAX]),
        # A leading $ would make a database reference or an operator of it.
        final_metrics={clean(str(k), 64).lstrip("$"): _metric(v) for k, v in list(metrics.items())[:METRICS_MAX]},
        artifact_url=clean(str(data.get("artifactUrl") or "")),
        error_message=clean(str(data.get("errorMessage") or "")),
        word="" if word == status else clean(word, WORD_MAX),
    )


def _progress(value: object) -> float:
    """From 0 to 1; 0 where it is no number, since a job that is alive may not know."""
    try:
        return min(1.0, max(0.0, float(_number(value))))
    except (TypeError, OverflowError):
        return 0.0


def _metric(value: object) -> object:
    try:
        number = float(value) if isinstance(value, int | Decimal) else math.nan
    except OverflowError:  # an integer beyond every float
        number = math.inf
    return number if math.isfinite(number) else clean(str(value), 200)


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
