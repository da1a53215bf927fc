"""What the worker processes of one seller have in common beside its database: made before they are forked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seller.config import Config
from seller.limiter import Limiter, limiter
from seller.locks import Election, KeyLocks, LockedContent, LockedFile, LockedMemory, write_number
from seller.work.secrets import OwnSecrets, SecretsStore, SharedSecrets


@dataclass(frozen=True)
class Commons:
    """locks: of orders. turns: of the account at sending. secrets: of jobs. limiter: of addresses.

    election: of the process that dispatches.
    """

    locks: KeyLocks
    turns: LockedContent
    secrets: SecretsStore
    limiter: Limiter
    election: Election


@contextmanager
def open_commons(config: Config, folder: Path, workers: int = 1) -> Iterator[Commons]:
    """The commons of so many processes of a seller's folder, for the process that holds that."""
    places = folder / "locks"
    places.mkdir(mode=0o700, exist_ok=True)
    requests, size = config.limits.requests_per_minute, int(config.limits.inputs) // 4
    election = Election(places / "dispatcher")
    if workers == 1:
        yield Commons(KeyLocks(), LockedMemory(), OwnSecrets(), limiter(requests, size), election)
        return
    turns = LockedFile(places / "account")
    with turns.hold() as turn:
        write_number(turn, 0)  # what an earlier seller sent is on chain, or lost: the chain says which
    (places / "keys").mkdir(mode=0o700, exist_ok=True)
    secrets = SharedSecrets(LockedFile(places / "secrets"))
    try:
        limits = limiter(requests, size, LockedFile(places / "limiter"))
        yield Commons(KeyLocks(places / "keys"), turns, secrets, limits, election)
    finally:
        secrets.close()
