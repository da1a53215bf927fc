"""The machine's own time zone, for tests of what goes by it, or must not."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def machine_in(zone: str) -> Iterator[None]:
    """This process on a machine in that zone, written as POSIX has it, such as NZDT-13 for 13 hours ahead of UTC."""
    try:
        with patch.dict(os.environ, TZ=zone):
            time.tzset()
            yield
    finally:
        time.tzset()
