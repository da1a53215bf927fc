"""The core's Store in MongoDB (a replica set): every step is one transaction, guarded by the run's version."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo import (
    alerts,
    documents,
    enforcement,
    jobs,
    past_jobs,
    payments,
    refunds,
    server,
    sums,
    vendor_records,
    wallet_day,
    whole_runs,
)
from gpuagent.adapters.mongo import policy as policies
from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.deadline import storable
from gpuagent.adapters.mongo.track_records import TrackRecords
from gpuagent.adapters.mongo.values import Document, date, object_id, seconds
from gpuagent.adapters.mongo.whole_runs import BUYABLE
from gpuagent.core.alerts import alerts_of
from gpuagent.core.context import PastJob
from gpuagent.core.credits import Credit
from gpuagent.core.model import Job, Observation, Run, Vendor
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports.store import Footing, Standing, TrackRecord
from gpuagent.core.records import Refund
from gpuagent.errors import DuplicateRun, DuplicateVendorJob, StaleRun

BY_ID = {"vendorId": ASCENDING}


class MongoStore:
    """The core's Store port. Safe to share between threads.

    Times are Unix seconds, amounts atomic units; documents hold dates and USD. Raises StoreError beside what the port
    and each method name.
    """

    def __init__(
        self,
        connection: Connection,
        ahead: Callable[[], float] = lambda: 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """ahead: how many seconds the database's clock is taken to be ahead, where practice turns all clocks.

        monotonic: seconds that no one sets back, by which what was read is old.
        """
        self.connection = connection
        self._database = connection.database
        self._ahead, self._monotonic = ahead, monotonic
        names = ("runs", "jobs", "payments", "observations")
        # Once: for each use the driver would make an object of a collection anew.
        self._runs, self._jobs, self._payments, self._observations = map(self._database.get_collection, names)
        self._records = TrackRecords(self._database, monotonic)
        self._kept = vendor_records.KeptReading(monotonic)
        self._rules: Policy | None = None
        """Those that were read last."""
        self._unproven: Collection[str] = ()
        """The vendors that were not proven by what was read last."""

    @deadlined
    def now(self) -> float:
        """The clock of the server that writes: every agent and approver has the same."""
        return round(server.clock(self.connection.client) + self._ahead(), 3)  # whole milliseconds, as it keeps

    def new_id(self) -> str:
        return str(ObjectId())

    @deadlined
    def create(self, run: Run) -> None:
        try:
            self._database.runs.insert_one(documents.run_document(run))
        except DuplicateKeyError as error:
            raise DuplicateRun(f"there is a run {run.run_id} already") from error

    @deadlined
    def load(self, run_id: str) -> Run:
        """The whole run in one read. Raises UnknownRun, and RunNotOurs for one of the original system."""
        return whole_runs.load(self._runs, run_id)

    @deadlined
    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        """The run's new version. Raises StaleRun, DuplicateVendorJob, PolicyRefused; then nothing was written."""
        after = replace(after, version=before.version + 1)
        turn = self.connection.turn() if wallet_day.growth(before, after) else nullcontext()
        try:
            with turn:
                counted = self.connection.transaction(
                    lambda session: self._write(session, before, after, observations, at)
                )
                self._records.saved(before, after, counted)
        except DuplicateKeyError as error:
            _raise_duplicate(error.details or {})
            raise
        return after

    @deadlined
    def standing(self, run_id: str) -> Standing:
        """The whole run in one read, with the policy in force, the vendors and the clock. Raises as load() does."""
        began = self._monotonic()
        whole, ahead = whole_runs.read(self._runs, run_id), self._ahead()
        self._kept.keep(began, seconds(whole.now), whole.policy, whole.vendors)
        return Standing(
            run=whole.run,
            now=round(seconds(whole.now) + ahead, 3),
            policy=lambda: self._readable(whole.policy),
            vendors=lambda: self._vendors_from(whole_runs.by_id(whole.vendors)),
        )

    def _readable(self, document: Document | None) -> Policy:
        self._rules = policies.readable(document)
        return self._rules

    def _vendors_from(self, records: Iterable[Document]) -> tuple[Vendor, ...]:
        vendors = tuple(map(documents.vendor_from, records))
        self._unproven = frozenset(vendor.vendor_id for vendor in vendors if not vendor.proven)
        return vendors

    @deadlined
    def footing(self, kept_s: float = 0.0) -> Footing:
        """The policy in force, the vendors and the clock in one read, or as this process has read them of late."""
        reading = (self._kept.lately(kept_s) if kept_s else None) or self._read_footing()
        if reading is None:  # no policy is in force, by which nothing can be bought
            return Footing(self.now(), self.policy, self.vendors)
        return Footing(
            now=round(reading.now + self._ahead(), 3),
            policy=lambda: self._readable(reading.policy),
            vendors=lambda: self._vendors_from(whole_runs.by_id(reading.records)),
        )

    def _read_footing(self) -> vendor_records.VendorReading | None:
        pipeline: list[Mapping[str, Any]] = [
            {"$match": sums.CURRENT},
            {"$lookup": {"from": "vendors", "pipeline": [{"$match": BUYABLE}], "as": "vendors"}},
            {"$set": {"now": "$$NOW"}},
        ]
        began = self._monotonic()
        document = next(iter(self._database.policies.aggregate(pipeline)), None)
        if document is None:
            return None
        return self._kept.keep(began, seconds(document["now"]), document, document["vendors"])

    @deadlined
    def standings(self, run_ids: Sequence[str]) -> list[Standing]:
        """standing() of many runs in four reads, in any order, without those that are not there. Raises RunNotOurs."""
        began, now = self._monotonic(), self.now()
        policy = self._database.policies.find_one(sums.CURRENT)
        records = list(self._database.vendors.find(BUYABLE).sort(BY_ID))
        self._kept.keep(began, now - self._ahead(), policy, records)
        documents_read = self._runs.aggregate(
            whole_runs.runs_with_all({"$in": [object_id(run_id) for run_id in run_ids]})
        )
        return [
            Standing(run, now, lambda: self._readable(policy), lambda: self._vendors_from(records))
            for run in map(whole_runs.run_of, documents_read)
        ]

    @deadlined
    def vendors(self) -> tuple[Vendor, ...]:
        return self._vendors()

    def _vendors(self, session: ClientSession | None = None) -> tuple[Vendor, ...]:
        return self._vendors_from(self._database.vendors.find(BUYABLE, session=session).sort(BY_ID))

    def _write(
        self, session: ClientSession, before: Run, after: Run, observations: Sequence[Observation], at: float
    ) -> enforcement.Counted | None:
        """What a new reservation was counted against, if there is one."""
        growth = wallet_day.growth(before, after)
        policy = enforcement.count(self._database, session, after.payer, growth) if growth else None
        guarded = self._runs.update_one(
            {"_id": ObjectId(before.run_id), "version": before.version},
            {"$set": documents.run_fields(after, at)},
            session=session,
        )
        if not guarded.matched_count:
            raise StaleRun(f"run {before.run_id} has moved on from version {before.version}")

        counted: enforcement.Counted | None = None
        ahead, rules, unproven = self._ahead(), self._rules, self._unproven
        for job in after.jobs:
            if job not in before.jobs:
                day = self._records.wallet_day(job.quote.network, after.payer)
                record = self._kept.record(policy, job.quote.vendor_id)
                prior = enforcement.Prior(ahead, rules, unproven, day, policy, record)
                reserved = enforcement.enforce(self._database, session, before, after, job, at, prior)
                counted = reserved or counted
                more = {"policyVersion": reserved.rules.version} if reserved else {}
                self._write_job(session, before, after, job, at, more)
        alerts.write(self._database, alerts_of(before, after), at, session)
        if observations:
            self._observations.insert_many(
                [
                    storable(documents.observation_document(after, observation, after.version, at))
                    for observation in observations
                ],
                session=session,
            )
        return counted

    def _write_job(
        self, session: ClientSession, before: Run, run: Run, job: Job, at: float, more: Mapping[str, Any]
    ) -> None:
        """Writes a job that is new or has changed, and its payment where that has."""
        saved = next((earlier for earlier in before.jobs if earlier.job_id == job.job_id), None)
        document = {**jobs.job_document(run, job), **more}
        if saved is None:
            self._jobs.insert_one(document, session=session)
        else:
            key = {"_id": document.pop("_id")}
            self._jobs.update_one(key, {"$set": document}, upsert=True, session=session)
        payment = payments.payment_document(run, job)
        if payment and payment != (payments.payment_document(before, saved) if saved else None):
            self._payments.update_one(
                {"jobId": payment["jobId"], "attempt": payment["attempt"]},
                {"$set": payment, "$setOnInsert": {"createdAt": date(at)}},
                upsert=True,
                session=session,
            )

    @deadlined
    def policy(self) -> Policy:
        """The rules in force. Raises PolicyRefused when there are none."""
        return policies.read(self._database)

    @deadlined
    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        rules, own = rules or policies.read(self._database), ObjectId(job_id) if job_id else None
        query = sums.SumsQuery(rules, run, network, vendor_ids, at, self._ahead(), own, self._unproven)
        return sums.read(self._database, query).usage

    @deadlined
    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> list[PastJob]:
        return past_jobs.read(self._database, run, network, vendor_ids, limit)

    @deadlined
    def track_record(
        self, run: Run, network: str, vendor_ids: Sequence[str], at: float, limit: int, rules: Policy | None = None
    ) -> TrackRecord:
        rules = rules or policies.read(self._database)
        query = sums.SumsQuery(rules, run, network, vendor_ids, at, self._ahead(), unproven=self._unproven)
        return self._records.read(query, limit)

    @deadlined
    def change_policy(self, revise: Callable[[Policy], Policy], by: str, why: str, at: float) -> Policy:
        """Put a new version in force. Raises BadInput, and nothing is changed."""
        with self._kept.forgotten():
            return self.connection.transaction(
                lambda session: policies.change(self._database, session, revise, by, why, at)
            )

    @deadlined
    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        with self._kept.forgotten():
            return self.connection.transaction(
                lambda session: policies.halt_payee(self._database, session, vendor, why, at)
            )

    @deadlined
    def add_vendor(self, vendor: Vendor, is_new: Callable[[Sequence[Vendor]], bool], at: float) -> bool:
        """Record a vendor that is new among all records, in one transaction. False where it is on record as it is.

        is_new: is asked with the records that this transaction sees, and raises what forbids the new one.
        """

        with self._kept.forgotten():
            return vendor_records.add(self.connection, vendor, self._vendors, is_new, at)

    @deadlined
    def book_credit(self, credit: Credit, at: float) -> bool:
        """A vendor's word on what it gives back, booked once for a job and kind."""
        return refunds.book_credit(self.connection, credit, at)

    @deadlined
    def book_refund(self, refund: Refund, at: float) -> bool:
        """A transfer booked for a job, once. Raises Refused, and nothing is written."""
        return refunds.book_refund(self.connection, refund, at)

    @deadlined
    def put_vendor(self, vendor: Vendor, at: float) -> None:
        """Record a vendor, or change its record. at: when it is registered, if it is new."""
        with self._kept.forgotten():
            vendor_records.put(self.connection, vendor, at)


def _raise_duplicate(details: Mapping[str, Any]) -> None:
    key = details.get("keyPattern", {})
    if "vendorJobId" in key:
        name = details.get("keyValue", {}).get("vendorJobId")
        raise DuplicateVendorJob(f"the vendor named job {name}, which is another purchase's")
