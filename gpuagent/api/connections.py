"""What the server is connected to: one MongoDB client, one chain, one wallet; opened when they are first needed."""

from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from gpuagent import settings

if TYPE_CHECKING:
    from gpuagent.adapters.mongo.queries import MongoRest
    from gpuagent.adapters.mongo.store import MongoStore


class Connections:
    """Safe to share between threads. What could not be opened is tried again at the next request."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._closing = ExitStack()
        self._lock = Lock()
        self._store: MongoStore | None = None
        self._desk: MongoRest | None = None
        self._agent: settings.Agent | None = None

    @property
    def store(self) -> "MongoStore":
        """The database alone: to look. Raises ConfigError."""
        with self._lock:
            return self._opened_store()

    @property
    def desk(self) -> "MongoRest":
        """Raises ConfigError, StoreError."""
        with self._lock:
            self._desk = self._desk or self._opened_store().rest()
            return self._desk

    @property
    def agent(self) -> settings.Agent:
        """Everything: to start and to tick runs. Raises ConfigError, ChainError."""
        with self._lock:
            if self._agent is None:
                building = settings.build(settings.read(self.environ), self._opened_store())
                self._agent = self._closing.enter_context(building)
            return self._agent

    def close(self) -> None:
        with self._lock:
            self._closing.close()
            self._store = self._desk = self._agent = None

    def _opened_store(self) -> "MongoStore":
        if self._store is None:
            self._store = self._closing.enter_context(settings.open_store(settings.read(self.environ)))
        return self._store


def connected(http: HTTPConnection) -> Connections:
    found: Connections = http.app.state.connections
    return found


Connected = Annotated[Connections, Depends(connected)]
