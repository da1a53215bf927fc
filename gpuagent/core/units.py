"""Durations and sizes as users write them (`2h`, `90s`, `1h30m`, `64MB`, `1.5GiB`); with times, as they read them."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
BYTES = {
    **{"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40},
}
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in SECONDS), re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> int:
    """Whole seconds. Raises ValueError, also for a number without a unit: hours to some are seconds to others."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        advice = f"; say the unit: {text.strip()}s, {text.strip()}m or {text.strip()}h" if _is_number(text) else ""
        raise ValueError(f"{text!r} is no duration: write it like 2h, 90s or 1h30m{advice}")
    seconds = sum(Decimal(part) * unit for part, unit in zip(match.groups(), SECONDS.values(), strict=True) if part)
    return _whole(Decimal(seconds), text, "seconds")


def parse_delay(text: str) -> int:
    """Whole seconds of a duration, where 0 is for never and needs no unit. Raises ValueError."""
    return 0 if text.strip() == "0" else parse_duration(text)


def parse_interval(text: str) -> float:
    """Seconds of a duration, or of a number of them, for what has always been given in seconds. Raises ValueError."""
    return float(text) if _is_number(text) else float(parse_duration(text))


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match or match[2].upper() not in BYTES:
        raise ValueError(f"{text!r} is no size: write it like 64MB or 1.5GiB")
    return _whole(Decimal(match[1]) * BYTES[match[2].upper()], text, "bytes")


def exact_duration(seconds: int) -> str:
    """The text that parse_duration() reads back: 1h30m."""
    parts = []
    for unit, length in SECONDS.items():
        count, seconds = divmod(seconds, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def exact_size(number: int) -> str:
    """The text that parse_size() reads back, exactly: 64MB, 1.5GiB, 4097."""
    units = sorted(BYTES.items(), key=lambda unit: unit[1], reverse=True)
    for unit, length in units:
        count = Decimal(number) / length
        if count >= 1 and count == round(count, 1):
            return f"{count.normalize():f}{unit.replace('I', 'i')}" if length > 1 else str(number)
    return str(number)


def show_duration(seconds: float) -> str:
    """A duration for readers, such as 45 s, 12 min, 3 h 05 min, 2 d 4 h."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def show_minute(at: float) -> str:
    """A time, Unix seconds, for readers: UTC to the minute, such as 2026-12-24 18:00."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def show_size(size: int) -> str:
    """A number of bytes for readers, such as 512 B, 64.0 kB, 1.2 GB."""
    if size < 1000:
        return f"{size} B"
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{Decimal(size) / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip()))


def _whole(number: Decimal, text: str, unit: str) -> int:
    try:
        whole = int(number.to_integral_value())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is too much") from error
    if whole != number:
        raise ValueError(f"{text!r} is no whole number of {unit}")
    return whole
