"""Past jobs and usage of caps, as planners see them; read only where kept_past.py and kept_usage.py lack them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pymongo.database import Database

from gpuagent.adapters.mongo import past_jobs, sums
from gpuagent.adapters.mongo.enforcement import Counted
from gpuagent.adapters.mongo.kept_past import SPARE, KeptPast
from gpuagent.adapters.mongo.kept_usage import KeptUsage
from gpuagent.adapters.mongo.sums import SumsQuery
from gpuagent.adapters.mongo.wallet_day import WalletDay
from gpuagent.core.context import PastJob
from gpuagent.core.model import Run
from gpuagent.core.ports.store import TrackRecord

TOGETHER_MAX = 500
"""Vendors whose past jobs are read in one document, which has room for those of three times as many."""


class TrackRecords:
    """The track records of one process. Safe to share between threads. monotonic: seconds that no one sets back."""

    def __init__(self, database: Database[dict[str, Any]], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._past, self._usage = KeptPast(monotonic), KeptUsage(monotonic)

    def saved(self, before: Run, after: Run, counted: Counted | None) -> None:
        """After a save. counted: what a new reservation was counted against."""
        self._past.saved(before, after)
        if counted:
            self._usage.reserved(after, counted)

    def wallet_day(self, network: str, payer: str) -> WalletDay | None:
        """What a reservation of this process has added up of the wallet's day, if one has."""
        return self._usage.day(network, payer)

    def read(self, query: SumsQuery, limit: int) -> TrackRecord:
        """What counts against the caps, and `limit` past jobs of each vendor. Raises as sums.read() does."""
        run, network, vendor_ids = query.run, query.network, query.vendor_ids
        usage = self._usage.of(run, network, vendor_ids, query.rules, query.unproven)
        together = len(vendor_ids) <= TOGETHER_MAX
        unread = self._past.unread(network, vendor_ids) if together else ()
        if usage is None or unread:
            stages, began = past_jobs.pipeline(None, network, unread, limit + SPARE), self._past.now()
            counted = sums.read(self._database, replace(query, past=stages if unread else None))
            usage = counted.usage
            self._past.keep(network, unread, counted.past, limit, began)
        return TrackRecord(usage, self._past_jobs(run, network, vendor_ids, limit, together))

    def _past_jobs(
        self, run: Run, network: str, vendor_ids: Sequence[str], limit: int, together: bool
    ) -> Sequence[PastJob]:
        jobs = self._past.of(run, network, vendor_ids, limit) if together else None
        return past_jobs.read(self._database, run, network, vendor_ids, limit) if jobs is None else jobs
