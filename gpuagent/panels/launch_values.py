"""The values of the launch form, read from what a user wrote. Pure."""

from decimal import Decimal, InvalidOperation

from gpuagent.agent.start import HOURS_MAX, TAG_MAX
from gpuagent.core.model import AT_ONCE_MAX, COUNT_MAX, HOURS_MIN
from gpuagent.core.money import parse_usd
from gpuagent.core.units import parse_delay
from gpuagent.errors import BadInput


def hours(text: str) -> Decimal:
    """GPU hours. Raises BadInput."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise BadInput("a number of GPU hours, such as 1 or 0.5") from None
    if not value.is_finite() or not HOURS_MIN <= value <= HOURS_MAX:
        raise BadInput(f"at least {HOURS_MIN} and at most {HOURS_MAX} hours")
    return value


def count(text: str) -> int:
    """Jobs to complete. Raises BadInput."""
    return _number(text, COUNT_MAX)


def at_once(text: str) -> int:
    """Jobs that may be open at once. Raises BadInput."""
    return _number(text, AT_ONCE_MAX)


def hedge_after(text: str) -> int | None:
    """Seconds past its expected time after which a job is hedged, None as the job says. Raises BadInput."""
    if not text.strip():
        return None
    try:
        return parse_delay(text)
    except ValueError as error:
        raise BadInput(f"{error}; 0 for never") from None


def _number(text: str, most: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10 and 1 <= int(digits) <= most):
        raise BadInput(f"a whole number of 1 to {most}")
    return int(digits)


def budget(text: str) -> int:
    """Atomic units. Raises BadInput."""
    amount = parse_usd(text.strip())
    if amount <= 0:
        raise BadInput("more than 0 USD")
    return amount


def tags(text: str) -> tuple[str, ...]:
    """Tags, which commas separate, each once. Raises BadInput."""
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if any(len(name) > TAG_MAX or not name.isprintable() for name in names):
        raise BadInput(f"each tag is a text of 1 to {TAG_MAX} characters")
    return names
