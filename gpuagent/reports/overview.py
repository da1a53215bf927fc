"""What the page shows, read as of one moment: sums of the whole, and the rows of its lists and of nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from gpuagent.core.belief import PAST_JOBS_MAX
from gpuagent.core.context import PastJob
from gpuagent.core.records import ReportScope
from gpuagent.reports.figures import attention, delivery, runs, spend
from gpuagent.reports.figures.summary import Summary
from gpuagent.reports.frames import (
    DECISIONS,
    JOBS,
    PAYMENTS,
    RUNS,
    VENDORS,
    Frame,
    frame,
    purchases_of,
    with_token_counts,
)
from gpuagent.reports.gather import Gathering
from gpuagent.reports.partitions import SIZES, Sizes
from gpuagent.reports.period import Period, buckets
from gpuagent.reports.stream import ExportStream
from gpuagent.reports.summary_rows import Count, OpenRows, SummaryRows

BURN_DOWNS_MAX = 6
"""Runs whose budget is drawn: those that spent most."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of a page. Of each list the first rows; how many there are in all, the summary counts.

    now, before: the summaries of the period and of the one before. payments: the newest. budgets: the runs that spent
    most, as rows of runs. slowest, delivered: as runs.times_to_success() and delivery.delivered() have them.
    purchases, decisions: all of the runs whose budgets are drawn. kept_charts: of an earlier page, b"" for none.
    unkept: summaries that the database did not take.
    """

    now: Summary
    before: Summary | None
    vendors: Frame
    past_jobs: Mapping[str, Sequence[PastJob]]
    attention: Frame
    payments: Frame
    budgets: Frame
    slowest: Frame
    delivered: Frame
    purchases: Frame
    decisions: Frame
    kept_charts: bytes
    unkept: int = 0

    @property
    def sales(self) -> Frame:
        """The purchases of the period by time, vendor, protocol, GPU and outcome."""
        return self.now.tables["sales"]

    @property
    def answers(self) -> Frame:
        """The paid answers of planners by time, planner and model."""
        return self.now.tables["answers"]

    @property
    def seconds(self) -> "npt.NDArray[np.float64]":
        """The time that each run took that succeeded, in ascending order."""
        return self.now.times / 1000

    @property
    def first_spent(self) -> pd.Timestamp | None:
        """When money was first spent in the period."""
        return _moment(self.now.first_spent)


def _moment(milliseconds: int | None) -> pd.Timestamp | None:
    return None if milliseconds is None else pd.Timestamp(milliseconds, unit="ms", tz="UTC")


def overview(
    open_rows: OpenRows,
    scope: ReportScope,
    vendor: str,
    period: Period,
    made_at: datetime,
    count: Count,
    fresh: bool,
    charts_key: str = "",
    sizes: Sizes = SIZES,
) -> Overview:
    """The overview of a period. fresh: nothing that was kept is believed. charts_key: of charts that were kept.

    Raises StoreError.
    """

    def finish(rows: SummaryRows, now: Summary, before: Summary | None) -> Overview:
        charts = [] if fresh or not charts_key else [content for _, _, content in rows.contents([charts_key])]
        return _Details(rows, scope, vendor, period).overview(now, before, made_at, b"".join(charts))

    def gathered(unit: str) -> Overview:
        gathering = Gathering(scope, vendor, period, unit, count, fresh, sizes)
        whole = gathering.read(open_rows, finish)
        return replace(whole, unkept=len(gathering.unwritten))

    whole = gathered("h" if buckets(period, None)[0] == "h" else "D")
    first = whole.first_spent
    if buckets(period, None)[0] != "h" and first is not None and buckets(period, first.to_pydatetime())[0] == "h":
        return gathered("h")
    return whole


@dataclass(frozen=True)
class _Details:
    rows: SummaryRows
    scope: ReportScope
    vendor: str
    period: Period

    def overview(self, now: Summary, before: Summary | None, made_at: datetime, charts: bytes) -> Overview:
        rows, scope, tables = self.rows, self.scope, now.tables
        vendors = frame(rows.vendors(), VENDORS)
        budgets = self._runs_of(tables["budgets"].runId)
        spenders = list(tables["budgets"].query("spent > 0").runId.head(BURN_DOWNS_MAX))
        decisions = frame([], DECISIONS)
        if spenders:
            decisions = frame(map(with_token_counts, rows.answers_of(scope, sorted(spenders))), DECISIONS)
            decisions = decisions[decisions.runId.isin(spenders)].reset_index(drop=True)
        slowest = tables["slowest"].assign(seconds=tables["slowest"].ms / 1000)
        slow_runs = self._runs_of(slowest.runId)[["runId", "userId", "planner", "gpuType"]]
        completed = self._runs_of(tables["results"].runId)
        return Overview(
            now,
            before,
            vendors,
            self._past_jobs([name for name in vendors.vendorId if self.vendor in ("", name)]),
            self._attention([now, before] if before else [now], made_at),
            self._payments(list(tables["payments"].jobId)),
            budgets,
            frame(slowest.merge(slow_runs, on="runId", how="left"), runs.TIMES),
            delivery.delivered(completed, self._purchases(completed)),
            self._purchases(budgets[budgets.runId.isin(spenders)]),
            decisions,
            charts,
        )

    def _runs_of(self, run_ids: Iterable[str]) -> Frame:
        """These runs in this order."""
        order = list(run_ids)
        by_id = {row["runId"]: row for row in self.rows.runs_of(order)}
        return frame((by_id[run_id] for run_id in order if run_id in by_id), RUNS)

    def _purchases(self, table: Frame) -> Frame:
        """All purchases of these runs, the first reserved first."""
        jobs = frame(self.rows.jobs_of_runs(self.scope, list(table.runId)), JOBS)
        payments = frame(self.rows.payments_of(list(jobs.jobId)), PAYMENTS)
        return purchases_of(jobs, payments, table)

    def _payments(self, job_ids: list[str]) -> Frame:
        """These purchases, the newest first, with their outcome."""
        jobs = frame(self.rows.jobs_named(job_ids), JOBS)
        payments = frame(self.rows.payments_of(job_ids), PAYMENTS)
        table = purchases_of(jobs, payments, frame(self.rows.runs_of(sorted(set(jobs.runId))), RUNS))
        by, ascending = ["settledAt", "createdAt", "jobId"], [False, True, True]
        return spend.with_outcome(table.sort_values(by, ascending=ascending, kind="stable"))

    def _past_jobs(self, vendor_ids: list[str]) -> Mapping[str, Sequence[PastJob]]:
        past_jobs: dict[str, list[PastJob]] = {vendor_id: [] for vendor_id in vendor_ids}
        for job in self.rows.outcomes(self.scope, vendor_ids, PAST_JOBS_MAX):
            past_jobs[job.vendor_id].append(job)
        return past_jobs

    def _attention(self, summaries: Iterable[Summary], made_at: datetime) -> Frame:
        job_ids = {job_id for summary in summaries for job_id in summary.tables["unmatched"].jobId}
        job_ids = self.rows.in_scope(self.scope, sorted(job_ids.union(self.rows.unfinished())))
        stream = ExportStream(self.rows, self.scope, self.period.since, self.period.until, self.vendor)
        return attention.attention(*stream.purchases_and_payments(sorted(job_ids)), made_at)
