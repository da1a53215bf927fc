"""The rows of a range of runs as narrow frames, some thousand runs at a time: what a summary adds up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from gpuagent.core.records import ReportScope
from gpuagent.errors import StoreError
from gpuagent.reports.figures.summary import Rows
from gpuagent.reports.frames import (
    DECISIONS,
    JOBS,
    PAYMENTS,
    PURCHASES,
    RUNS,
    TIME,
    Frame,
    frame,
    purchases_of,
    with_token_counts,
)
from gpuagent.reports.summary_rows import Columns, Count, SummaryRows

OVER = {("settled", "completed"), ("voided", "failed"), ("voided", "")}
"""State of a job and status of its payment, where the records agree that nothing is left to be decided."""


def _narrow(kinds: Mapping[str, str], *names: str) -> Mapping[str, str]:
    """The columns with these names. Texts stay Python's own: to make columns of them takes longer than to add up."""
    return {name: "object" if kinds[name] == "str" else kinds[name] for name in names}


RUN = {
    **_narrow(RUNS, "runId", "userId", "planner", "tags", "status", "createdAt", "settled", "plannerCost"),
    **{"needed": "float64", "arms": "object"},
}
JOB = {
    **_narrow(JOBS, "jobId", "runId", "protocol", "gpuType", "hours", "vendorId", "state", "status"),
    **_narrow(
        JOBS, "expectedCost", "actualCost", "createdAt", "settledAt", "completedAt", "hoursSaved", "errorMessage"
    ),
}
PAYMENT = _narrow(PAYMENTS, "jobId", "runId", "paymentStatus", "signedAt", "refunded", "credit")
PURCHASE = {**JOB, **PAYMENT, **_narrow(PURCHASES, "refunded", "paid", "cost", "saved")}


@dataclass(frozen=True, slots=True)
class Chunks:
    """Reads the rows of a scope. vendor: only this one's purchases, or "" for all. most: runs that are read at once."""

    rows: SummaryRows
    scope: ReportScope
    vendor: str
    most: int
    count: Count

    def within(self, first: str, end: str) -> Iterator[Rows]:
        """The rows of a range of runs, so many at a time as are held at once."""
        while True:
            runs = _typed(self.rows.run_columns(self.scope, first, end, self.most), RUN)
            if len(runs):
                yield from self._parts(runs)
            if len(runs) < self.most:
                return
            first = f"{int(runs.runId.iloc[-1], 16) + 1:024x}"

    def _parts(self, runs: Frame) -> Iterator[Rows]:
        """The rows of some runs; in halves where they are too many for one answer."""
        run_ids = runs.runId.tolist()
        jobs, payments = self.rows.job_columns(self.scope, run_ids), self.rows.payment_columns(self.scope, run_ids)
        if jobs is not None and payments is not None:
            yield self._rows(runs, _typed(jobs, JOB), _typed(payments, PAYMENT))
            return
        if len(runs) == 1:
            raise StoreError(f"run {run_ids[0]} has more jobs than one answer of MongoDB can hold: no report counts it")
        middle = len(runs) // 2
        for half in (runs.iloc[:middle], runs.iloc[middle:]):
            yield from self._parts(half.reset_index(drop=True))

    def _rows(self, runs: Frame, jobs: Frame, payments: Frame) -> Rows:
        run_ids = runs.runId.tolist()
        jobs = jobs.assign(errorMessage=jobs.errorMessage.fillna(""))
        whole = purchases_of(jobs, payments, runs, PURCHASE)
        statuses = [status if isinstance(status, str) else "" for status in whole.paymentStatus]
        whole = whole.assign(paymentStatus=pd.Series(statuses, index=whole.index, dtype="object"))
        self.count(len(runs) + len(jobs) + len(payments))
        run_set, job_set = set(run_ids), set(whole.jobId)
        paid_for = zip(payments.runId, payments.jobId, strict=True)
        unmatched = [job_id for run_id, job_id in paid_for if run_id in run_set and job_id not in job_set]
        states = zip(whole.state, whole.paymentStatus, whole.jobId, strict=True)
        unmatched += [job_id for state, paid, job_id in states if (state, paid) not in OVER]
        decisions = frame([], DECISIONS)
        purchases = whole
        if self.vendor:
            purchases = whole[whole.vendorId == self.vendor].reset_index(drop=True)
            runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
            whole = whole[whole.runId.isin(purchases.runId)].reset_index(drop=True)
        else:
            answers = frame(map(with_token_counts, self.rows.answers_of(self.scope, run_ids)), DECISIONS)
            decisions = answers[answers.runId.isin(runs.runId)].reset_index(drop=True)
        return Rows(runs, purchases, whole, decisions, unmatched)


def _typed(columns: Columns, kinds: Mapping[str, str]) -> Frame:
    times = {
        name: pd.Series(pd.array(columns[name], dtype="int64").astype("datetime64[ms]")).dt.tz_localize("UTC")
        for name, kind in kinds.items()
        if kind == TIME
    }
    texts = {name: values for name, values in columns.items() if name in kinds and name not in times}
    return frame(pd.DataFrame({**texts, **times}, columns=list(kinds)), kinds)
