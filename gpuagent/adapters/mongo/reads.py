"""What people and their reports see of the database, and what they change in it besides runs."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import DESCENDING

from gpuagent.adapters.mongo import documents, original
from gpuagent.adapters.mongo import policy as policies
from gpuagent.adapters.mongo.changes import Change, watch
from gpuagent.adapters.mongo.connection import DURABLE, connect
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.glance import Glance, glance
from gpuagent.adapters.mongo.ledgers import MongoBooks
from gpuagent.adapters.mongo.queries import MongoRest
from gpuagent.adapters.mongo.report_rows import MongoHistory, history
from gpuagent.adapters.mongo.server import Server, look
from gpuagent.adapters.mongo.values import date
from gpuagent.core.model import Ledger, Vendor
from gpuagent.core.policy import Policy
from gpuagent.errors import RunNotOurs, UnknownRun

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="MongoViews")


def deadlined(ask: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Each call within the store's deadline_s, and its failures as StoreError."""

    @wraps(ask)
    def asked(store: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with bounded(store.deadline_s):
            return ask(store, *args, **kwargs)

    return asked


class MongoViews:
    """The store's side for people. Raises StoreError beside what each names."""

    def __init__(self, uri: str, database: str, timeout_s: float = 5, deadline_s: float = 20) -> None:
        """timeout_s: to find a server. deadline_s: for one read or one save, a failover of the servers included."""
        self.deadline_s = deadline_s
        self._client, self._database = connect(uri, database, timeout_s)

    def close(self) -> None:
        self._client.close()

    @deadlined
    def server(self) -> Server:
        return look(self._client)

    @deadlined
    def change_policy(self, revise: Callable[[Policy], Policy], by: str, why: str, at: float) -> Policy:
        """Put a new version in force. Raises BadInput, and nothing is changed."""
        with self._client.start_session() as session:
            return session.with_transaction(
                lambda inside: policies.change(self._database, inside, revise, by, why, at), write_concern=DURABLE
            )

    @deadlined
    def policies(self, limit: int = 20) -> list[Mapping[str, Any]]:
        """All versions of the policy as documents, newest first."""
        return policies.versions(self._database, limit)

    @deadlined
    def put_vendor(self, vendor: Vendor, at: float) -> None:
        """Record a vendor, or change its record."""
        self._database.vendors.update_one(
            {"vendorId": vendor.vendor_id},
            {"$set": documents.vendor_document(vendor), "$setOnInsert": {"createdAt": date(at)}},
            upsert=True,
        )

    @deadlined
    def recorded(self, run_id: str) -> Ledger:
        """The amounts that stand in the run's own record. Raises UnknownRun."""
        found = self._database.runs.find_one({"_id": object_id(run_id)})
        if found is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        check_ours(found)
        return documents.ledger_from(found)

    @deadlined
    def vendor_ids(self) -> tuple[str, ...]:
        """All recorded vendors in the order of registration: what palette.vendor_colours() wants."""
        found = self._database.vendors.find({}, {"vendorId": 1}).sort([("createdAt", 1), ("_id", 1)])
        return tuple(one["vendorId"] for one in found)

    @contextmanager
    def history(self, deadline_s: float = 120) -> Iterator[MongoHistory]:
        """All that happened, as of now, for reports. deadline_s: for one collection."""
        with history(self._client, self._database, deadline_s) as opened:
            yield opened

    def rest(self) -> MongoRest:
        """Pages of runs, answers by idempotency key and leases, for a server."""
        return MongoRest(self._database, self.deadline_s)

    def books(self) -> MongoBooks:
        """The ledgers of all runs, for a sweep."""
        return MongoBooks(self._database, self.deadline_s)

    @deadlined
    def runs(self, limit: int = 20) -> list[Mapping[str, Any]]:
        """Run documents, newest first; those of the original system too, as mongo_original shows them."""
        return [
            original.shown_run(one) for one in self._database.runs.find().sort("createdAt", DESCENDING).limit(limit)
        ]

    @deadlined
    def glance(self, run_id: str, types: Sequence[str], text: str = "", limit: int = 200) -> Glance:
        """What a person sees of a run, its newest observations of these types first. Raises UnknownRun."""
        found = glance(self._database, object_id(run_id), types, text, limit)
        if found is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        return found

    def watch(self, run_id: str | None = None, resume_after: str | None = None) -> Generator[Change, None, None]:
        """Every change to a run, or to all runs, as mongo_watch.watch() says. Raises as that does."""
        return watch(self._database, run_id, resume_after)

    @deadlined
    def documents(self, run_id: str) -> dict[str, list[Mapping[str, Any]]]:
        """The run's documents by collection, observations in the order they were written. Raises UnknownRun.

        Those of the original system are as mongo_original shows them.
        """
        key = object_id(run_id)
        run = self._database.runs.find_one({"_id": key})
        if run is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        payments = list(self._database.payments.find({"runId": key}).sort("_id"))
        return {
            "runs": [original.shown_run(run, payments)],
            "jobs": [original.shown_job(one) for one in self._database.jobs.find({"runId": key}).sort("ordinal")],
            "payments": [original.shown_payment(one) for one in payments],
            "observations": [
                original.shown_observation(one) for one in self._database.observations.find({"runId": key}).sort("_id")
            ],
        }


def object_id(run_id: str) -> ObjectId:
    try:
        return ObjectId(run_id)
    except (InvalidId, TypeError):
        raise UnknownRun(f"{run_id[:40]!r} is not a run id: `gpuagent run list` shows them") from None


def check_ours(run: Mapping[str, Any]) -> None:
    if original.is_original(run):
        raise RunNotOurs(f"run {run['_id']} was made by the original system: it can be looked at, not driven")
