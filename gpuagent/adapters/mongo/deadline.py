"""One deadline for a driver's call with all its retries, and the StoreError for its failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import bson
import pymongo
from bson import ObjectId
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.text import driver_text
from gpuagent.errors import StoreError
from gpuagent.wire.scrub import without_shapes

UNSTORABLE = (BSONError, UnicodeError, OverflowError)
"""What the driver raises, beside its own errors, for a value that no document can hold."""
UNAUTHORIZED = 13
"""MongoDB's error code for a user that lacks a right."""
READ_ONLY = "its user in MONGODB_URI has no right to: name one that has the role readWrite"
NOT_A_PRIMARY_YET = "it was not ready: name replicaSet= in MONGODB_URI instead of directConnection=, and start again"
"""For a direct connection to a server that was starting: it refuses transactions for as long as it lives."""
DOCUMENT_MAX = 15 * 1024 * 1024
"""Bytes; the server takes 16 MiB."""


@contextmanager
def bounded(deadline_s: float) -> Iterator[None]:
    """One deadline for all calls inside; what the driver raises becomes StoreError."""
    try:
        with pymongo.timeout(deadline_s):
            yield
    except PyMongoError as error:
        raise StoreError(
            f"MongoDB did not do it ({_reason(error)}): {driver_text(without_shapes(str(error)))}"
        ) from error
    except UNSTORABLE as error:
        raise StoreError(
            f"no document can hold this ({type(error).__name__}): {without_shapes(str(error))[:200]!r}"
        ) from error


def _reason(error: PyMongoError) -> str:
    if isinstance(error, OperationFailure) and error.code == UNAUTHORIZED:
        return READ_ONLY
    return NOT_A_PRIMARY_YET if isinstance(error, ConfigurationError) else type(error).__name__


def storable(observation: Document) -> RawBSONDocument:
    """The document as it is sent, or one in its place that says why it cannot be kept: no untrusted text holds up a
    step. It is encoded once, here; so it has its id already, which the driver gives only what it encodes itself."""
    document = {"_id": ObjectId(), **observation}
    try:
        encoded = bson.encode(document)
    except UNSTORABLE as error:
        problem = type(error).__name__
    else:
        if len(encoded) <= DOCUMENT_MAX:
            return RawBSONDocument(encoded)
        problem = f"{len(encoded)} bytes"
    instead = {**document, "content": f"what was seen cannot be stored: {problem}", "data": {}}
    return RawBSONDocument(bson.encode(instead))
