"""The server's connections: one MongoDB client, one chain, one wallet; each is opened when it is first needed."""

from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from gpuagent import settings, wiring
from gpuagent.core.ports.files import FileStore
from gpuagent.wiring.database import Database, open_database


class Connections:
    """Connections that threads share. One that cannot be opened is tried again at the next request."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._closing = ExitStack()
        self._lock = Lock()
        self._database: Database | None = None
        self._agent: wiring.Agent | None = None
        self._files: FileStore | None = None

    @property
    def database(self) -> Database:
        """The database, without a wallet or a chain. Raises ConfigError."""
        with self._lock:
            return self._open_database()

    @property
    def agent(self) -> wiring.Agent:
        """The whole agent, which starts and ticks runs. Raises ConfigError, ChainError."""
        with self._lock:
            if self._agent is None:
                building = wiring.open_agent(settings.read(self.environ), self._open_database())
                self._agent = self._closing.enter_context(building)
            return self._agent

    @property
    def files(self) -> FileStore:
        """The file store, without a wallet or a chain. Raises ConfigError."""
        with self._lock:
            if self._files is None:
                opening = wiring.open_files(settings.read(self.environ), self._open_database())
                self._files = self._closing.enter_context(opening)
            return self._files

    def close(self) -> None:
        with self._lock:
            self._closing.close()
            self._database = self._agent = self._files = None

    def _open_database(self) -> Database:
        if self._database is None:
            self._database = self._closing.enter_context(open_database(settings.read(self.environ)))
        return self._database


def connections_of(http: HTTPConnection) -> Connections:
    """The connections of the application that serves a request."""
    connections: Connections = http.app.state.connections
    return connections


Connected = Annotated[Connections, Depends(connections_of)]
