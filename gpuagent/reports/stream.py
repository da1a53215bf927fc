"""The rows of a report a batch at a time, for files that are written as they are read: nothing is kept.

Batches are frames with the columns of frames.py. An export of a million payments holds a few thousand rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Protocol

import pandas as pd

from gpuagent.core.records import ReportScope
from gpuagent.reports.frames import (
    DECISIONS,
    JOBS,
    PAYMENTS,
    PURCHASES,
    ROWS,
    RUNS,
    VENDORS,
    Frame,
    ReportRows,
    Row,
    frame,
    purchases_of,
    with_token_counts,
)


class StreamedRows(ReportRows, Protocol):
    """Rows in the order of a time, all as of one moment, in batches; each method raises StoreError.

    since, until: since <= time < until. vendor: "" for all.
    """

    def allow_later_moments(self) -> None:
        """Lets the rest of the rows be as of a later moment, where the server gives up the one of those before."""
        ...

    def purchases(
        self, scope: ReportScope, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[Sequence[Row]]:
        """Jobs reserved, paid or ended then, in the order in which they were reserved."""
        ...

    def settled(
        self, scope: ReportScope, time: str, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[Sequence[Row]]:
        """Paid jobs in the order of `time`: settledAt or completedAt."""
        ...

    def started(self, scope: ReportScope, since: datetime, until: datetime) -> Iterator[Sequence[Row]]: ...

    def answers(self, since: datetime, until: datetime, order: str) -> Iterator[Sequence[Row]]:
        """Decisions that a planner charged for, of all networks, in the order in which they were made or began."""
        ...

    def happened(self, scope: ReportScope, since: datetime, until: datetime, vendor: str = "") -> bool:
        """Whether a job was paid then, or, of all vendors, a run was started."""
        ...

    def answered(self, since: datetime, until: datetime) -> bool:
        """Whether a planner charged for a decision then, on any network."""
        ...

    def payments_of(self, job_ids: Sequence[str]) -> Sequence[Row]: ...

    def runs_named(self, scope: ReportScope, run_ids: Sequence[str]) -> Sequence[Row]:
        """Those of these runs that are in the scope."""
        ...

    def spent(self, scope: ReportScope, since: datetime, until: datetime, vendor: str = "") -> int:
        """What settled then, less what came back, and what planners charged, in atomic units."""
        ...

    def undecided(self, scope: ReportScope) -> Iterable[str]:
        """The ids of the jobs that hold money or go on, and of those whose payment says something else."""
        ...

    def buyers(self, scope: ReportScope, run_ids: Sequence[str], vendor: str) -> set[str]:
        """Those of these runs that bought from the vendor, or would have."""
        ...


@dataclass(frozen=True)
class ExportStream:
    """The rows of one report. vendor: only this one's, or "" for all."""

    rows: StreamedRows
    scope: ReportScope
    since: datetime
    until: datetime
    vendor: str = ""

    @cached_property
    def vendors(self) -> Frame:
        return frame(self.rows.vendors(), VENDORS)

    def purchases(self) -> Iterator[Frame]:
        """Purchases that were reserved, paid or ended in the period."""
        return self._purchases(self.rows.purchases(self.scope, self.since, self.until, self.vendor))

    def settled(self, time: str) -> Iterator[Frame]:
        """Settled purchases in the order of a time that lies in the period: settledAt or completedAt."""
        return self._purchases(self.rows.settled(self.scope, time, self.since, self.until, self.vendor))

    def started(self) -> Iterator[Frame]:
        """Runs that were started in the period; of one vendor, those that bought there."""
        for batch in self.rows.started(self.scope, self.since, self.until):
            runs = frame(batch, RUNS)
            if self.vendor:
                buyers = self.rows.buyers(self.scope, list(runs.runId), self.vendor)
                runs = runs[runs.runId.isin(buyers)].reset_index(drop=True)
            yield runs

    def undecided(self) -> tuple[Frame, Frame]:
        """Purchases, the first reserved first, and payments that an eye must be kept on, whatever the period."""
        return self.purchases_and_payments(self.rows.undecided(self.scope))

    def purchases_and_payments(self, jobs: Iterable[str]) -> tuple[Frame, Frame]:
        """The purchases of these jobs in the scope, the first reserved first, and their payments."""
        purchases, payments = [frame([], PURCHASES)], [frame([], PAYMENTS)]
        undecided = iter(jobs)
        while job_ids := list(islice(undecided, ROWS)):
            payments.append(frame(self.rows.payments_of(job_ids), PAYMENTS))
            payments[-1] = payments[-1][payments[-1].runId.isin(self.runs_of(payments[-1]).runId)]
            purchases += self._purchases([list(self.rows.jobs_named(job_ids))])
        tables = [pd.concat(parts[1:] or parts, ignore_index=True) for parts in (purchases, payments)]
        if self.vendor:
            tables = [table[table.vendorId == self.vendor] for table in tables]
        return tables[0].sort_values(["createdAt", "jobId"], ignore_index=True), tables[1].reset_index(drop=True)

    def decisions(self, order: str) -> Iterator[Frame]:
        """Paid answers of planners in the period, as they were given (at) or asked for (began); none of a vendor's."""
        if self.vendor:
            return
        for batch in self.rows.answers(self.since, self.until, order):
            decisions = frame(map(with_token_counts, batch), DECISIONS)
            yield decisions[decisions.runId.isin(self.runs_of(decisions).runId)].reset_index(drop=True)

    def runs_of(self, table: Frame) -> Frame:
        """The runs that a table names, as far as they are in the scope."""
        return frame(self.rows.runs_named(self.scope, list(table.runId)), RUNS)

    def _purchases(self, batches: Iterable[Sequence[Row]]) -> Iterator[Frame]:
        for batch in batches:
            jobs = frame(batch, JOBS)
            payments = frame(self.rows.payments_of(list(jobs.jobId)), PAYMENTS)
            yield purchases_of(jobs, payments, self.runs_of(jobs))
