"""Reads of the database for users, reports and servers; the core's own are in store.py."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from gpuagent.adapters.mongo import documents, months, original, past_jobs, policy, refunds
from gpuagent.adapters.mongo.changes import watch
from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.glance import glance
from gpuagent.adapters.mongo.job_logs import job_log
from gpuagent.adapters.mongo.original import check_ours
from gpuagent.adapters.mongo.run_files import run_files
from gpuagent.adapters.mongo.run_list import run_page
from gpuagent.adapters.mongo.server import Server, server
from gpuagent.adapters.mongo.statuses import RUNNING
from gpuagent.adapters.mongo.sums import CURRENT
from gpuagent.adapters.mongo.timeline import timeline, timeline_record
from gpuagent.adapters.mongo.values import Document, object_id
from gpuagent.core.context import PastJob
from gpuagent.core.model import Ledger
from gpuagent.core.months import BudgetShare, budget_share
from gpuagent.core.policy import Halt
from gpuagent.core.records import Change, JobLogLine, RunSnapshot
from gpuagent.core.run_files import RunFile
from gpuagent.core.run_list import ALL_RUNS, NEWEST_FIRST, RunFilter, RunPage, RunSort
from gpuagent.core.timeline import EntryKind, TimelinePage, TimelineRecord
from gpuagent.errors import UnknownRun

if TYPE_CHECKING:
    from gpuagent.adapters.mongo.report_partitions import MongoPartitions


class MongoReads:
    """Reads of one database. Each raises StoreError beside what it names. Safe to share between threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._database = connection.database

    @deadlined
    def server(self) -> Server:
        return server(self.connection.client)

    @deadlined
    def policies(self, limit: int = 20) -> list[Mapping[str, Any]]:
        """All versions of the policy as documents, newest first."""
        return policy.versions(self._database, limit)

    @deadlined
    def vendor_halts(self) -> Mapping[str, Halt]:
        """The halts of single vendors in the policy in force, by their ids; none where there is no policy."""
        return policy.vendor_halts(self._database)

    @deadlined
    def budget_shares(self, network: str, at: float) -> list[BudgetShare]:
        """The budgets over months in the policy in force, with what is used of each, the fullest first.

        at: now, Unix seconds. None where no policy is in force. Raises PolicyRefused for one that cannot be read.
        """
        document = self._database.policies.find_one(CURRENT)
        if document is None:
            return []
        rules = policy.readable(document)
        sums = months.month_sums(self._database, rules, network, at)
        return budget_share(rules.month_budgets, sums, at, rules.month_zone)

    @deadlined
    def recorded(self, run_id: str) -> Ledger:
        """The amounts that stand in the run's own record. Raises UnknownRun."""
        document = self._database.runs.find_one({"_id": object_id(run_id)})
        if document is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        check_ours(document)
        return documents.ledger_from(document)

    @deadlined
    def vendor_ids(self) -> tuple[str, ...]:
        """All recorded vendors in the order of registration: the order that palette.vendor_colours() takes."""
        vendors = self._database.vendors.find({}, {"vendorId": 1}).sort([("createdAt", 1), ("_id", 1)])
        return tuple(vendor["vendorId"] for vendor in vendors)

    @deadlined
    def past_jobs(self, network: str, vendor_ids: Sequence[str], limit: int) -> list[PastJob]:
        """The vendors' newest ended jobs on the network in all runs, at most `limit` of each, oldest first."""
        return past_jobs.read(self._database, None, network, vendor_ids, limit)

    @deadlined
    def credits(self) -> dict[str, int]:
        """What is left of each vendor's credits, by its word alone; vendors without one are left out."""
        return refunds.credit_by_vendor(self._database)

    @deadlined
    def files(self, run_id: str) -> list[RunFile]:
        """The collected files of a run's jobs. Raises UnknownRun."""
        return run_files(self._database, self._known(run_id))

    @deadlined
    def job_log(self, run_id: str, after: str = "") -> list[JobLogLine]:
        """The log lines of a run's jobs, as job_logs.job_log() has them. Raises UnknownRun."""
        return job_log(self._database, self._known(run_id), after)

    def _known(self, run_id: str) -> ObjectId:
        key = object_id(run_id)
        if self._database.runs.find_one({"_id": key}, {"_id": 1}) is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        return key

    @contextmanager
    def history(self, deadline_s: float = 120) -> "Iterator[MongoPartitions]":
        """A snapshot of all rows, as of now, for reports. deadline_s: for one collection."""
        from gpuagent.adapters.mongo.report_partitions import history  # with numpy and pandas, which are slow to load

        with history(self.connection.client, self._database, deadline_s) as rows:
            yield rows

    @deadlined
    def run_page(
        self,
        where: RunFilter = ALL_RUNS,
        sort: RunSort = NEWEST_FIRST,
        limit: int = 20,
        before: str = "",
        counted: bool = False,
    ) -> RunPage:
        """A page of runs, as run_list.RunLists has it. Raises BadInput."""
        return run_page(self._database, where, sort, limit, before, counted)

    def runs(self, limit: int = 20, before: str = "") -> Sequence[Mapping[str, Any]]:
        """Run documents without their workloads, newest first. before: the last id of the page before."""
        return self.run_page(limit=limit, before=before).runs

    @deadlined
    def running(self) -> dict[str, int]:
        """How many runs each user has that are still running."""
        groups = self._database.runs.aggregate(
            [{"$match": RUNNING}, {"$group": {"_id": "$userId", "runs": {"$sum": 1}}}]
        )
        return {str(group["_id"]): group["runs"] for group in groups}

    @deadlined
    def glance(
        self, run_id: str, types: Sequence[str], text: str = "", limit: int = 200, decision: str = ""
    ) -> RunSnapshot:
        """A run as the console shows it, its newest observations of these types first. Raises UnknownRun.

        decision: the id of the one to read whole; "": the newest.
        """
        snapshot = glance(self._database, object_id(run_id), types, text, limit, decision)
        if snapshot is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        return snapshot

    @deadlined
    def timeline(
        self, run_id: str, after: str = "", kinds: Sequence[EntryKind] = tuple(EntryKind), limit: int = 100
    ) -> TimelinePage:
        """Entries of a run's timeline, oldest first. after: `next` of the page before. Raises UnknownRun, BadInput."""
        return timeline(self._database, self._known(run_id), after, kinds, limit)

    @deadlined
    def timeline_record(self, run_id: str, entry_id: str) -> TimelineRecord:
        """All that is recorded of an entry of the run's timeline. Raises UnknownRun, BadInput."""
        return timeline_record(self._database, self._known(run_id), entry_id)

    def watch(self, run_id: str | None = None, resume_after: str | None = None) -> Generator[Change, None, None]:
        """Every change to a run, or to all runs, as changes.watch() says. Raises as that does."""
        return watch(self._database, run_id, resume_after)

    @deadlined
    def documents(self, run_id: str) -> dict[str, list[Document]]:
        """The run's documents by collection, observations in the order they were written. Raises UnknownRun.

        Those of the original system are as original.py shows them.
        """
        key = object_id(run_id)
        run = self._database.runs.find_one({"_id": key})
        if run is None:
            raise UnknownRun(f"there is no run {run_id}: `gpuagent run list` shows them")
        return original.shown_documents(
            {
                "runs": [run],
                "jobs": list(self._database.jobs.find({"runId": key}).sort("ordinal")),
                "payments": list(self._database.payments.find({"runId": key}).sort("_id")),
                "observations": list(self._database.observations.find({"runId": key}).sort("_id")),
            }
        )
