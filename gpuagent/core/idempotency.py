"""What a server learns when a request claims its Idempotency-Key: to do the work, or not to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The right and the duty to do a key's work. run_id: for the run that it may start, the same in every claim of it.

    again: an earlier claim of the key came to no answer.
    """

    id: str
    run_id: str
    again: bool


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to an earlier request with the same key and body."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InProgress:
    """An earlier request with the same key is still at work."""


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key belongs to a request with another body."""


ClaimResult = KeyClaim | StoredAnswer | InProgress | OtherRequest
