"""One way to a MongoDB: a client that suits Atlas and serverless instances, and the database as the books need it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gpuagent.adapters.mongo import policy as policies
from gpuagent.adapters.mongo.schema import ensure_schema
from gpuagent.adapters.mongo.values import Document
from gpuagent.errors import ConfigError

DURABLE = WriteConcern(w="majority", j=True)
CONNECTIONS_MAX = 100
"""Of one process. The smallest Atlas cluster takes 500."""


def connect(uri: str, database: str, timeout_s: float) -> tuple[MongoClient[Document], Database[Document]]:
    """A client, and the database with its collections and a first policy. Raises ConfigError."""
    client = _client(uri, timeout_s)
    opened = client.get_database(database, write_concern=DURABLE, read_concern=ReadConcern("majority"))
    with _explained(client):
        _check_replica_set(client)
        ensure_schema(opened)
        policies.ensure(opened, time.time())
    return client, opened


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
        # The cause may show a part of the password.
        raise ConfigError(f"MONGODB_URI cannot be used ({type(error).__name__}): is it mongodb://host/...?") from None


@contextmanager
def _explained(client: MongoClient[Document]) -> Iterator[None]:
    """A server that cannot be used is a ConfigError, and leaves no connection behind."""
    try:
        yield
    except ServerSelectionTimeoutError as error:
        client.close()
        raise ConfigError(f"MongoDB does not answer, check MONGODB_URI: {str(error)[:200]}") from error
    except OperationFailure as error:
        client.close()
        raise ConfigError(f"MongoDB refuses to be set up: {str(error)[:200]}") from error
    except PyMongoError as error:
        client.close()
        raise ConfigError(f"MongoDB is not ready, try again ({type(error).__name__}): {str(error)[:200]}") from error
    except ConfigError:
        client.close()
        raise


def _check_replica_set(client: MongoClient[Document]) -> None:
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise ConfigError("MongoDB must be a replica set (a single node will do): a step is saved in one transaction")
