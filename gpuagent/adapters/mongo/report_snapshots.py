"""Snapshots from which a report's rows are read. A server keeps one for five minutes by default."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.errors import StoreError

GONE = {239, 246}
"""MongoDB's error codes for a snapshot that it has given up, or cannot read from (any more)."""
GIVEN_UP = (
    "MongoDB has given up the moment that the report is read as of, try again: it keeps one for "
    "minSnapshotHistoryWindowInSeconds"
)
log = logging.getLogger(__name__)


class SnapshotGoneError(StoreError):
    """The server does not have the moment any more that the rows were read as of."""


class Snapshots:
    """The snapshot that is read, and later ones where the server gives it up. session: of the newest.

    is_replaceable: whether later ones will do. Else all rows are of one moment, or there are none.
    """

    def __init__(self, client: MongoClient[Any], sessions: ExitStack) -> None:
        """sessions: ends them; rows of an earlier one may still be under way when a later one begins."""
        self._client, self._sessions = client, sessions
        self.session, self.is_replaceable = self._open(), False
        self._beside: dict[str, tuple[Lock, ClientSession]] = {}

    @contextmanager
    def beside(self, collection: str) -> Iterator[ClientSession]:
        """A session without a snapshot of its own, for what is read of this collection as of a given moment."""
        if collection not in self._beside:
            session = self._client.start_session(causal_consistency=False)
            self._beside.setdefault(collection, (Lock(), self._sessions.enter_context(session)))
        turn, session = self._beside[collection]
        with turn:
            yield session

    def replace(self, gone: ClientSession) -> None:
        """Takes a later snapshot in place of one that is gone, unless another stream of rows did so already.

        Raises SnapshotGoneError where later ones will not do.
        """
        if not self.is_replaceable:
            raise SnapshotGoneError(GIVEN_UP)
        if self.session is gone:
            log.warning("the rest of the report is as of a later moment: MongoDB keeps one for some minutes only")
            self.session = self._open()

    def _open(self) -> ClientSession:
        return self._sessions.enter_context(self._client.start_session(snapshot=True))


@contextmanager
def bounded_reading(deadline_s: float) -> Iterator[None]:
    """bounded(), for reads of a snapshot: raises SnapshotGoneError where it is gone."""
    with bounded(deadline_s):
        try:
            yield
        except OperationFailure as error:
            if error.code not in GONE:
                raise
            raise SnapshotGoneError(GIVEN_UP) from error
