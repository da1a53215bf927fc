"""The MongoDB database that the settings name, opened, and what reads and writes it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gpuagent.wiring.embedded import embedded_place, places_of, say_once, start_mongod
from gpuagent.wiring.libraries import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuagent.adapters.mongo.archives import MongoArchives
    from gpuagent.adapters.mongo.connection import Connection
    from gpuagent.adapters.mongo.embedded_folders import Place
    from gpuagent.adapters.mongo.inbox import MongoInbox
    from gpuagent.adapters.mongo.ledgers import MongoLedgers
    from gpuagent.adapters.mongo.outbox import MongoOutbox
    from gpuagent.adapters.mongo.queries import MongoQueries
    from gpuagent.adapters.mongo.reads import MongoReads
    from gpuagent.adapters.mongo.run_files import MongoHoldings
    from gpuagent.adapters.mongo.store import MongoStore
    from gpuagent.settings import Settings


@dataclass(frozen=True)
class Database:
    """An open MongoDB database, by who asks it. What is not asked is not loaded.

    store: the core's port. reads: users and reports. queries: the REST server. ledgers: a sweep of the books.
    holdings: a sweep of the files. archives: a sweep of the observations.

    ahead: how many seconds the database's clock is taken to be ahead, where practice turns all clocks.
    """

    connection: "Connection"
    ahead: Callable[[], float] | None = None

    @cached_property
    def store(self) -> "MongoStore":
        from gpuagent.adapters.mongo.store import MongoStore

        return MongoStore(self.connection, self.ahead) if self.ahead else MongoStore(self.connection)

    @cached_property
    def reads(self) -> "MongoReads":
        from gpuagent.adapters.mongo.reads import MongoReads

        return MongoReads(self.connection)

    @cached_property
    def queries(self) -> "MongoQueries":
        from gpuagent.adapters.mongo.queries import MongoQueries

        return MongoQueries(self.connection)

    @cached_property
    def ledgers(self) -> "MongoLedgers":
        from gpuagent.adapters.mongo.ledgers import MongoLedgers

        return MongoLedgers(self.connection)

    @cached_property
    def holdings(self) -> "MongoHoldings":
        from gpuagent.adapters.mongo.run_files import MongoHoldings

        return MongoHoldings(self.connection)

    @cached_property
    def archives(self) -> "MongoArchives":
        from gpuagent.adapters.mongo.archives import MongoArchives

        return MongoArchives(self.connection)

    def not_after(self, now: float) -> float:
        """The earlier of a machine's time and the database's: one that is ahead would delete what is to be kept."""
        return min(now, self.store.now())

    @property
    def name(self) -> str:
        return self.connection.database.name

    @property
    def inbox(self) -> "MongoInbox":
        """What waits for a user, over all runs."""
        from gpuagent.adapters.mongo.inbox import MongoInbox

        return MongoInbox(self.connection)

    @property
    def outbox(self) -> "MongoOutbox":
        """The alerts that were written, by the store's clock."""
        from gpuagent.adapters.mongo.outbox import MongoOutbox

        return MongoOutbox(self.connection, self.store.now)

    @property
    def upgrade(self) -> str:
        """What of the schema only another MongoDB user may bring up to date, in words; "" for nothing."""
        return self.connection.upgrade


@contextmanager
def open_database(settings: "Settings", place: "Place | None" = None) -> Iterator[Database]:
    """The database at MONGODB_URI, or the embedded one that the environment means. Needs no key and no chain.

    place: an embedded one to open instead. Raises ConfigError.
    """
    from gpuagent.adapters.mongo.connection import Connection

    quiet_libraries()
    with ExitStack() as stack:
        uri = "" if place else settings.mongodb_uri
        if not uri:
            place = place or embedded_place(settings)
            uri = stack.enter_context(start_mongod(place.folder)).uri
        connection = stack.enter_context(closing(Connection(uri, settings.database)))
        if place and (names := connection.databases_beside()):
            say_once(
                f"{place} has more than the database {connection.database.name!r}: MONGODB_DB_NAME may name {names}"
            )
        yield Database(connection)


@contextmanager
def open_used_databases(settings: "Settings") -> Iterator[dict[str, Database]]:
    """The database that is meant, as "", and the embedded one that a process uses beside it, by its description."""
    with ExitStack() as stack:
        databases = {"": stack.enter_context(open_database(settings))}
        _, other = places_of(settings)
        if not settings.mongodb_uri and other.is_used:
            description = f"{other}, which is in use; to reach it alone, {other.hint}"
            databases[description] = stack.enter_context(open_database(settings, other))
        yield databases


def load_reports() -> None:
    """Import what open_database() and a report's reads need, which is else imported where it is first used."""
    from gpuagent.adapters.mongo import (  # noqa: F401
        archives,
        connection,
        ledgers,
        queries,
        reads,
        report_partitions,
        run_files,
        store,
    )


def scheduled_runs(settings: "Settings", name: str, run_id: str) -> "list[Mapping[str, Any]]":
    """The run with this id, and those of the same name that are not over, newest first, by one read.

    name: "" for none of those. Raises ConfigError, StoreError.
    """
    from gpuagent.adapters.mongo.scheduled import scheduled_runs

    quiet_libraries()
    with ExitStack() as stack:
        uri = settings.mongodb_uri or stack.enter_context(start_mongod(embedded_place(settings).folder)).uri
        return scheduled_runs(uri, settings.database, name, run_id)
