"""Runs in MongoDB (a replica set): every step is one transaction, guarded by the run's version."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import DESCENDING, MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gpuagent.adapters import mongo_documents as documents
from gpuagent.adapters import mongo_jobs as jobs
from gpuagent.adapters import mongo_original as original
from gpuagent.adapters import mongo_outcomes
from gpuagent.adapters import mongo_policy as policies
from gpuagent.adapters.mongo_books import MongoBooks
from gpuagent.adapters.mongo_bounds import bounded, storable
from gpuagent.adapters.mongo_desk import MongoDesk
from gpuagent.adapters.mongo_glance import Glance, glance
from gpuagent.adapters.mongo_history import MongoHistory, history
from gpuagent.adapters.mongo_schema import ensure_schema
from gpuagent.adapters.mongo_server import Server, look
from gpuagent.adapters.mongo_values import date
from gpuagent.adapters.mongo_watch import Change, watch
from gpuagent.context import PastJob
from gpuagent.errors import ConfigError, DuplicateRun, DuplicateVendorJob, RunNotOurs, StaleRun, UnknownRun
from gpuagent.model import Job, Ledger, Observation, Run, Vendor
from gpuagent.policy import Policy, Usage

DURABLE = WriteConcern(w="majority", j=True)
CONNECTIONS_MAX = 100
"""Of one process. The smallest Atlas cluster takes 500."""


P = ParamSpec("P")
T = TypeVar("T")


def _bounded(ask: "Callable[Concatenate[MongoStore, P], T]") -> "Callable[Concatenate[MongoStore, P], T]":
    @wraps(ask)
    def asked(store: "MongoStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with bounded(store.deadline_s):
            return ask(store, *args, **kwargs)

    return asked


class MongoStore:
    """Safe to share between threads. Times are Unix seconds, amounts atomic units; documents hold dates and USD."""

    def __init__(self, uri: str, database: str, timeout_s: float = 5, deadline_s: float = 20) -> None:
        """timeout_s: to find a server. deadline_s: for one read or one save, a failover of the servers included."""
        self.deadline_s = deadline_s
        self._client = _connect(uri, timeout_s)
        self._database = self._client.get_database(
            database, write_concern=DURABLE, read_concern=ReadConcern("majority")
        )
        with _explained(self._client):
            _check_replica_set(self._client)
            ensure_schema(self._database)
            policies.ensure(self._database, time.time())

    def close(self) -> None:
        self._client.close()

    @_bounded
    def server(self) -> Server:
        return look(self._client)

    # The core's port.

    def new_id(self) -> str:
        return str(ObjectId())

    @_bounded
    def create(self, run: Run) -> None:
        try:
            self._database.runs.insert_one(documents.run_document(run))
        except DuplicateKeyError as error:
            raise DuplicateRun(f"there is a run {run.run_id} already") from error

    @_bounded
    def load(self, run_id: str) -> Run:
        """The whole run in one read. Raises UnknownRun, and RunNotOurs for one of the original system."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"_id": _object_id(run_id)}},
            {"$lookup": {"from": "jobs", "localField": "_id", "foreignField": "runId", "as": "jobs"}},
            {"$lookup": {"from": "payments", "localField": "_id", "foreignField": "runId", "as": "payments"}},
        ]
        found = next(iter(self._database.runs.aggregate(pipeline)), None)
        if found is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        _check_ours(found)
        return documents.run_from(found, found["jobs"], found["payments"])

    @_bounded
    def save(self, before: Run, after: Run, seen: Sequence[Observation], at: float) -> Run:
        """The run's new version. Raises StaleRun, DuplicateVendorJob, PolicyRefused; then nothing was written."""
        after = replace(after, version=before.version + 1)
        with self._client.start_session() as session:
            try:
                session.with_transaction(
                    lambda inside: self._write(inside, before, after, seen, at), write_concern=DURABLE
                )
            except DuplicateKeyError as error:
                _raise_duplicate(error.details or {})
                raise
        return after

    @_bounded
    def vendors(self) -> tuple[Vendor, ...]:
        # One that the original system recorded has no pinned payee: nothing can be bought from it.
        found = self._database.vendors.find({"payTo": {"$exists": True}}).sort("vendorId")
        return tuple(documents.vendor_from(one) for one in found)

    def _write(self, session: ClientSession, before: Run, after: Run, seen: Sequence[Observation], at: float) -> None:
        guarded = self._database.runs.update_one(
            {"_id": ObjectId(before.run_id), "version": before.version},
            {"$set": documents.run_fields(after, at)},
            session=session,
        )
        if not guarded.matched_count:
            raise StaleRun(f"run {before.run_id} has moved on from version {before.version}")
        for job in after.jobs:
            if job not in before.jobs:
                version = policies.enforce(self._database, session, before, after, job, at)
                self._write_job(session, after, job, at, {} if version is None else {"policyVersion": version})
        if seen:
            self._database.observations.insert_many(
                [storable(documents.observation_document(after, one, after.version, at)) for one in seen],
                session=session,
            )

    def _write_job(self, session: ClientSession, run: Run, job: Job, at: float, more: Mapping[str, Any]) -> None:
        fields = {**jobs.job_document(run, job), **more}
        key = {"_id": fields.pop("_id")}
        self._database.jobs.update_one(key, {"$set": fields}, upsert=True, session=session)
        payment = jobs.payment_document(run, job)
        if payment:
            self._database.payments.update_one(
                {"jobId": payment["jobId"], "attempt": payment["attempt"]},
                {"$set": payment, "$setOnInsert": {"createdAt": date(at)}},
                upsert=True,
                session=session,
            )

    @_bounded
    def policy(self) -> Policy:
        """The rules in force. Raises PolicyRefused when there are none."""
        return policies.read(self._database)

    @_bounded
    def usage(self, run: Run, network: str, vendor_ids: Sequence[str], at: float, job_id: str = "") -> Usage:
        rules = policies.read(self._database)
        own = ObjectId(job_id) if job_id else None
        return policies.usage(self._database, rules, run, network, vendor_ids, at, own)

    @_bounded
    def outcomes(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> list[PastJob]:
        return mongo_outcomes.read(self._database, run, network, vendor_ids, limit)

    # For people.

    @_bounded
    def change_policy(self, revise: Callable[[Policy], Policy], by: str, why: str, at: float) -> Policy:
        """Put a new version in force. Raises BadInput, and nothing is changed."""
        with self._client.start_session() as session:
            return session.with_transaction(
                lambda inside: policies.change(self._database, inside, revise, by, why, at), write_concern=DURABLE
            )

    @_bounded
    def policies(self, limit: int = 20) -> list[Mapping[str, Any]]:
        """All versions of the policy as documents, newest first."""
        return policies.versions(self._database, limit)

    @_bounded
    def put_vendor(self, vendor: Vendor, at: float) -> None:
        """Record a vendor, or change its record."""
        self._database.vendors.update_one(
            {"vendorId": vendor.vendor_id},
            {"$set": documents.vendor_document(vendor), "$setOnInsert": {"createdAt": date(at)}},
            upsert=True,
        )

    @_bounded
    def recorded(self, run_id: str) -> Ledger:
        """The amounts that stand in the run's own record. Raises UnknownRun."""
        found = self._database.runs.find_one({"_id": _object_id(run_id)})
        if found is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        _check_ours(found)
        return documents.ledger_from(found)

    @_bounded
    def vendor_ids(self) -> tuple[str, ...]:
        """All recorded vendors in the order of registration: what palette.vendor_colours() wants."""
        found = self._database.vendors.find({}, {"vendorId": 1}).sort([("createdAt", 1), ("_id", 1)])
        return tuple(one["vendorId"] for one in found)

    @contextmanager
    def history(self, deadline_s: float = 120) -> Iterator[MongoHistory]:
        """All that happened, as of now, for reports. deadline_s: for one collection."""
        with history(self._client, self._database, deadline_s) as opened:
            yield opened

    def desk(self) -> MongoDesk:
        """Pages of runs, answers by idempotency key and leases, for a server."""
        return MongoDesk(self._database, self.deadline_s)

    def books(self) -> MongoBooks:
        """The ledgers of all runs, for a sweep."""
        return MongoBooks(self._database, self.deadline_s)

    @_bounded
    def runs(self, limit: int = 20) -> list[Mapping[str, Any]]:
        """Run documents, newest first; those of the original system too, as mongo_original shows them."""
        return [
            original.shown_run(one) for one in self._database.runs.find().sort("createdAt", DESCENDING).limit(limit)
        ]

    @_bounded
    def glance(self, run_id: str, types: Sequence[str], text: str = "", limit: int = 200) -> Glance:
        """What a person sees of a run, its newest observations of these types first. Raises UnknownRun."""
        found = glance(self._database, _object_id(run_id), types, text, limit)
        if found is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        return found

    def watch(self, run_id: str | None = None, resume_after: str | None = None) -> Generator[Change, None, None]:
        """Every change to a run, or to all runs, as mongo_watch.watch() says. Raises as that does."""
        return watch(self._database, run_id, resume_after)

    @_bounded
    def documents(self, run_id: str) -> dict[str, list[Mapping[str, Any]]]:
        """The run's documents by collection, observations in the order they were written. Raises UnknownRun.

        Those of the original system are as mongo_original shows them.
        """
        key = _object_id(run_id)
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


def _connect(uri: str, timeout_s: float) -> MongoClient[dict[str, Any]]:
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
def _explained(client: MongoClient[dict[str, Any]]) -> Iterator[None]:
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


def _check_replica_set(client: MongoClient[dict[str, Any]]) -> None:
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise ConfigError("MongoDB must be a replica set (a single node will do): a step is saved in one transaction")


def _object_id(run_id: str) -> ObjectId:
    try:
        return ObjectId(run_id)
    except (InvalidId, TypeError):
        raise UnknownRun(f"{run_id[:40]!r} is not a run id: `gpuagent run list` shows them") from None


def _check_ours(run: Mapping[str, Any]) -> None:
    if original.is_original(run):
        raise RunNotOurs(f"run {run['_id']} was made by the original system: it can be looked at, not driven")


def _raise_duplicate(details: Mapping[str, Any]) -> None:
    key = details.get("keyPattern", {})
    if "vendorJobId" in key:
        name = details.get("keyValue", {}).get("vendorJobId")
        raise DuplicateVendorJob(f"the vendor named job {name}, which is another purchase's")
