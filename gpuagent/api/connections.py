"""What the server is connected to: one MongoDB client, one chain, one wallet; opened when they are first needed."""

from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from gpuagent import settings, wiring


class Connections:
    """Safe to share between threads. What could not be opened is tried again at the next request."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._closing = ExitStack()
        self._lock = Lock()
        self._database: wiring.Database | None = None
        self._agent: wiring.Agent | None = None

    @property
    def database(self) -> wiring.Database:
        """The database, without a wallet or a chain. Raises ConfigError."""
        with self._lock:
            return self._opened_database()

    @property
    def agent(self) -> wiring.Agent:
        """Everything: to start and to tick runs. Raises ConfigError, ChainError."""
        with self._lock:
            if self._agent is None:
                building = wiring.open_agent(settings.read(self.environ), self._opened_database())
                self._agent = self._closing.enter_context(building)
            return self._agent

    def close(self) -> None:
        with self._lock:
            self._closing.close()
            self._database = self._agent = None

    def _opened_database(self) -> wiring.Database:
        if self._database is None:
            self._database = self._closing.enter_context(wiring.open_database(settings.read(self.environ)))
        return self._database


def connected(http: HTTPConnection) -> Connections:
    found: Connections = http.app.state.connections
    return found


Connected = Annotated[Connections, Depends(connected)]
