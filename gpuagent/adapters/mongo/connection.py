"""A connection to MongoDB that suits Atlas and serverless instances: schema in place, one deadline per call."""

import atexit
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from threading import Lock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.synchronous import monitor
from pymongo.write_concern import WriteConcern

from gpuagent.adapters.mongo import policy
from gpuagent.adapters.mongo.address import SERVERS_OWN, database_in, database_name, unknown_user, unusable
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.setup import check_not_elsewhere, ensure_schema, is_allowed, upgrade_needed
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.text import driver_text
from gpuagent.errors import ConfigError, StoreError

DURABLE = WriteConcern(w="majority", j=True)
CONNECTIONS_MAX = 100
"""Of one process. The smallest Atlas cluster takes 500."""
UNKNOWN_USER = (18, 8000)
"""Error codes of MongoDB and of Atlas."""
log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class Connection:
    """A client, and its database with collections, indexes and a first policy. Safe to share between threads."""

    def __init__(
        self, uri: str, database: str, timeout_s: float = 5, deadline_s: float = 20, look_only: bool = False
    ) -> None:
        """database: where the URI names none, "" for the usual one. timeout_s: to find a server. deadline_s: for one
        read or one save, a failover of the servers included. look_only: nothing is set up or checked, so that a read
        is all that the server is asked for; to write, open another.

        A user that may only read is welcome: the database refuses what it may not write. Raises ConfigError.
        """
        self.deadline_s = deadline_s
        self._turn = Lock()
        self.client = _client(uri, timeout_s)
        with _explained(self.client, uri):
            in_uri = database_in(self.client)
            self.database: Database[Document] = self.client.get_database(
                database_name(in_uri, database), write_concern=DURABLE, read_concern=ReadConcern("majority")
            )
            self.upgrade = ""
            if look_only:
                return
            _check_replica_set(self.client)
            if in_uri and not database:
                check_not_elsewhere(self.client, self.database)
            gaps = ensure_schema(self.database)
            self.upgrade = upgrade_needed(self.database, gaps)
            is_allowed(partial(policy.ensure, self.database, time.time()))
        if self.upgrade:
            log.warning(self.upgrade)

    def close(self) -> None:
        """Closes the client. The end of the process does not wait for the client's threads."""
        self.client.close()
        # The driver would join them at exit, and each sleeps for up to half a second before it sees that it is to end.
        # They are daemons, with nothing left to do.
        if join_threads := getattr(monitor, "_shutdown_resources", None):
            atexit.unregister(join_threads)

    def databases_beside(self) -> list[str]:
        """The names of the server's other databases that are not its own."""
        names = set(self.client.list_database_names()) - {*SERVERS_OWN, self.database.name}
        return sorted(names)

    def deadline(self) -> AbstractContextManager[None]:
        """One deadline for what is done inside, and StoreError for its failures."""
        return bounded(self.deadline_s)

    def transaction(self, write: Callable[[ClientSession], T]) -> T:
        """What write() returns, all of it saved durably or nothing; the driver may call it more than once."""
        with self.client.start_session() as session:
            return session.with_transaction(write, write_concern=DURABLE)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For saves that would meet at one document, and start again: those of one process wait for each other here.

        Nothing rests on it but the time of those that start again: savers in other processes know nothing of it.
        Raises StoreError where the turn does not come by the deadline of a call.
        """
        if not self._turn.acquire(timeout=self.deadline_s):
            raise StoreError(f"saves of this process are slow: none got its turn in {self.deadline_s:g} s; try again")
        try:
            yield
        finally:
            self._turn.release()


class Connected(Protocol):
    """An object that works on a connection."""

    @property
    def connection(self) -> Connection: ...


S = TypeVar("S", bound=Connected)


def deadlined(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """The method, held to its connection's deadline for each call, with its failures as StoreError."""

    @wraps(method)
    def bounded_method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.connection.deadline():
            return method(self, *args, **kwargs)

    return bounded_method


def _client(uri: str, timeout_s: float) -> MongoClient[Document]:
    try:
        return MongoClient(
            uri,
            appname="gpuagent",
            tz_aware=True,
            serverSelectionTimeoutMS=int(timeout_s * 1000),
            connectTimeoutMS=int(timeout_s * 1000),
            # A serverless instance that sleeps must not count on sockets that Atlas has closed meanwhile.
            maxIdleTimeMS=45_000,
            maxPoolSize=CONNECTIONS_MAX,
        )
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise unusable(uri, error) from None  # the cause may show a part of the password


@contextmanager
def _explained(client: MongoClient[Document], uri: str) -> Iterator[None]:
    """Errors of setting up as ConfigError, with the connection closed."""
    try:
        yield
    except ServerSelectionTimeoutError as error:
        client.close()
        raise ConfigError(f"MongoDB does not answer, check MONGODB_URI: {driver_text(str(error))}") from error
    except OperationFailure as error:
        client.close()
        if error.code in UNKNOWN_USER:
            raise unknown_user(uri, error) from error
        raise ConfigError(f"MongoDB refuses to be set up: {driver_text(str(error))}") from error
    except ConfigurationError as error:  # the driver looks up the hosts of mongodb+srv when it first needs them
        client.close()
        raise unusable(uri, error) from None
    except PyMongoError as error:
        client.close()
        raise ConfigError(
            f"MongoDB is not ready, try again ({type(error).__name__}): {driver_text(str(error))}"
        ) from error
    except ConfigError:
        client.close()
        raise


def _check_replica_set(client: MongoClient[Document]) -> None:
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise ConfigError("MongoDB must be a replica set (a single node will do): a step is saved in one transaction")
