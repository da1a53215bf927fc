"""Durations and sizes as users write and read them: `2h`, `90s`, `1h30m`; `64MB`, `1.5GiB`, `4096`."""

import re
from decimal import Decimal, InvalidOperation

SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
BYTES = {
    **{"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40},
}
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in SECONDS), re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> int:
    """Whole seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is no duration: write it like 2h, 90s or 1h30m")
    seconds = sum(Decimal(part) * unit for part, unit in zip(match.groups(), SECONDS.values(), strict=True) if part)
    return _whole(Decimal(seconds), text, "seconds")


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match or match[2].upper() not in BYTES:
        raise ValueError(f"{text!r} is no size: write it like 64MB or 1.5GiB")
    return _whole(Decimal(match[1]) * BYTES[match[2].upper()], text, "bytes")


def show_duration(seconds: int) -> str:
    """The text that parse_duration() reads back: 1h30m."""
    parts = []
    for unit, length in SECONDS.items():
        count, seconds = divmod(seconds, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def show_size(number: int) -> str:
    """The text that parse_size() reads back, exactly: 64MB, 1.5GiB, 4097."""
    units = sorted(BYTES.items(), key=lambda unit: unit[1], reverse=True)
    for unit, length in units:
        count = Decimal(number) / length
        if count >= 1 and count == round(count, 1):
            return f"{count.normalize():f}{unit.replace('I', 'i')}" if length > 1 else str(number)
    return str(number)


def _whole(number: Decimal, text: str, unit: str) -> int:
    try:
        whole = int(number.to_integral_value())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is too much") from error
    if whole != number:
        raise ValueError(f"{text!r} is no whole number of {unit}")
    return whole
