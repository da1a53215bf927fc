"""Durations as they are written in a configuration: 24h, 7d, 90s, 30m."""

import re
from typing import Annotated

from pydantic import BeforeValidator

SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
DURATION = re.compile(r"([1-9][0-9]{0,6})([dhms])", re.ASCII)


def seconds(value: object) -> int:
    """Seconds. Raises ValueError."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("is no duration: write it like 24h, 7d, 30m or 90s")
    return int(match[1]) * SECONDS[match[2]]


Duration = Annotated[int, BeforeValidator(seconds)]
