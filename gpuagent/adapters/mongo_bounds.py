"""One deadline for all the driver's own retries, and one error: what was written is then unknown."""

from collections.abc import Iterator
from contextlib import contextmanager

import pymongo
from pymongo.errors import PyMongoError

from gpuagent.errors import StoreError


@contextmanager
def bounded(deadline_s: float) -> Iterator[None]:
    """Raises StoreError for what the driver raises."""
    try:
        with pymongo.timeout(deadline_s):
            yield
    except PyMongoError as error:
        raise StoreError(f"MongoDB did not do it ({type(error).__name__}): {str(error)[:200]}") from error
