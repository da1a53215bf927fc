"""Vendors' records in MongoDB: how they are written, and a short-lived cache of them in one process.

Each change of a record counts itself on the policy in force, in its transaction. A reservation writes that document
anyway, so it sees there whether a record is still the one that its process has read: then it need not read it again. A
change at the same moment meets it there, and one of the two starts again. What another program writes, or an earlier
version of this one, a reservation sees once the reading is KEPT_S old; a signature reads the record in its transaction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo import documents
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.values import Document, date
from gpuagent.core.model import Vendor
from gpuagent.errors import BadInput

KEPT_S = 5.0
"""A reading of records counts for so long."""


@dataclass(frozen=True, slots=True)
class VendorReading:
    """What an order is held against, as it was read. began: before that, by the seconds that no one sets back.

    now: the server's clock, Unix seconds. policy: the document in force, which was read before the records.
    """

    began: float
    now: float
    policy: Document
    records: Sequence[Document]


class KeptReading:
    """What one process has read last of the policy and the vendors. Safe to share between threads.

    monotonic: seconds that no one sets back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._reading: VendorReading | None = None

    def keep(
        self, began: float, now: float, policy: Document | None, records: Sequence[Document]
    ) -> VendorReading | None:
        """The reading, kept; None where no policy is in force, by which nothing can be bought."""
        self._reading = reading = VendorReading(began, now, policy, records) if policy else None
        return reading

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        """For what changes rules or records: this process itself reads them anew at once."""
        try:
            yield
        finally:
            self._reading = None

    def lately(self, kept_s: float) -> VendorReading | None:
        """The reading, with the server's clock as it is by now; None where it began more than so many seconds ago."""
        reading = self._reading
        if reading is None or not 0 <= (elapsed := self.monotonic() - reading.began) <= kept_s:
            return None
        return replace(reading, now=reading.now + elapsed)

    def record(self, policy: Document | None, vendor_id: str) -> Document | None:
        """The vendor's record, which has not changed since it was read; None where that is not known.

        policy: the document in force, as the transaction that asks has written it.
        """
        reading = self.lately(KEPT_S)
        if policy is None or reading is None or _mark(reading.policy) != _mark(policy):
            return None
        return next((record for record in reading.records if record["vendorId"] == vendor_id), None)


def put(connection: Connection, vendor: Vendor, at: float) -> None:
    """Record a vendor, or change its record. at: when it is registered, if it is new."""

    def write(session: ClientSession) -> None:
        _count(connection.database, session, "vendorsChanged")
        connection.database.vendors.update_one(
            {"vendorId": vendor.vendor_id},
            {"$set": documents.vendor_document(vendor), "$setOnInsert": {"createdAt": date(at)}},
            upsert=True,
            session=session,
        )

    connection.transaction(write)


def add(
    connection: Connection,
    vendor: Vendor,
    recorded: Callable[[ClientSession], Sequence[Vendor]],
    is_new: Callable[[Sequence[Vendor]], bool],
    at: float,
) -> bool:
    """Record a vendor that is new among all records, in one transaction. False where it is on record as it is.

    is_new: is asked with the records that this transaction sees, and raises what forbids the new one.
    """

    def write(session: ClientSession) -> bool:
        # Two at once meet here: one of them starts again, and sees the other's record.
        _count(connection.database, session, "vendorsAdded")
        if not is_new(recorded(session)):
            return False
        document = {**documents.vendor_document(vendor), "createdAt": date(at)}
        connection.database.vendors.insert_one(document, session=session)
        return True

    try:
        return connection.transaction(write)
    except DuplicateKeyError as error:
        raise BadInput(f"{vendor.vendor_id} is on record meanwhile: nothing was changed") from error


def _count(database: Database[Document], session: ClientSession, name: str) -> None:
    database.policies.update_one(CURRENT, {"$inc": {name: 1}}, session=session)


def _mark(policy: Mapping[str, Any]) -> tuple[ObjectId, int]:
    return policy["_id"], policy.get("vendorsChanged", 0)
