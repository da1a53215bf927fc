"""Time zones by name: the same zone on every machine, whatever databases of zones it has. Pure."""

from contextlib import suppress
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from gpuagent.errors import BadInput

UTC_NAME = "UTC"
_OF_THE_MACHINE = ("localtime", "posixrules", "posix", "right")
"""Files that many systems keep beside the zones: the machine's own zone, and zones that count leap seconds."""


@lru_cache(64)
def zone_of(name: str) -> tzinfo:
    """The time zone of a name such as Europe/Berlin. UTC needs no database of zones. Raises BadInput."""
    if name == UTC_NAME:
        return UTC
    with suppress(ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        if name.partition("/")[0] not in _OF_THE_MACHINE:
            return ZoneInfo(name)
    raise BadInput(f"{name[:60]!r} is no time zone: write one like UTC or Europe/Berlin")
