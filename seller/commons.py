"""What the processes of one seller have in common beside its folder: made before they are forked."""

from dataclasses import dataclass, field
from pathlib import Path

from seller.config import Config
from seller.home import DRAIN
from seller.limiter import Limiter, limiter
from seller.locks import KeyLocks, Lock, ProcessLock, ThreadLock, shared_numbers
from seller.payments.numbering import SENDING_NUMBERS
from seller.shop import Closing
from seller.work.secrets import OwnSecrets, SecretsStore, SharedSecrets


@dataclass(frozen=True)
class Commons:
    """Of one process by default. keys: locks of orders. sending: the turn to send from the own account.

    writing: the turn to write to the database. inputs: the lock of the input store. secrets: of paid jobs. limiter: of
    addresses. closing: whether anything is sold.
    """

    limiter: Limiter
    closing: Closing
    keys: KeyLocks = field(default_factory=KeyLocks)
    sending: Lock = field(default_factory=lambda: ThreadLock(SENDING_NUMBERS))
    writing: Lock = field(default_factory=ThreadLock)
    inputs: Lock = field(default_factory=lambda: ThreadLock(2))
    secrets: SecretsStore = field(default_factory=OwnSecrets)


def commons(config: Config, folder: Path, workers: int = 1) -> Commons:
    """The commons of so many processes of the seller of this folder: this one, or those that it will fork."""
    requests, size = config.limits.requests_per_minute, int(config.limits.inputs) // 4
    if workers == 1:
        return Commons(limiter(requests, size), Closing(folder / DRAIN))
    places = folder / "locks"
    places.mkdir(mode=0o700, exist_ok=True)
    return Commons(
        limiter=limiter(requests, size, ProcessLock(places / "limiter")),
        closing=Closing(folder / DRAIN, shared_numbers(1)),
        keys=KeyLocks(places),
        sending=ProcessLock(places / "sending", SENDING_NUMBERS),
        writing=ProcessLock(places / "writing"),
        inputs=ProcessLock(places / "inputs", 2),
        secrets=SharedSecrets(ProcessLock(places / "secrets", 1)),
    )
