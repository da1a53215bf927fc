"""The rows of a range of runs as narrow frames, some thousand runs at a time: what a summary adds up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gpuagent.core.records import ReportScope
from gpuagent.errors import StoreError
from gpuagent.reports.figures.summary import Rows
from gpuagent.reports.frames import (
    BACK,
    DECISIONS,
    JOBS,
    PAYMENTS,
    PURCHASES,
    RUNS,
    TIME,
    Frame,
    frame,
    with_costs,
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
PAYMENT = _narrow(PAYMENTS, "jobId", "paymentStatus", "signedAt", "refunded", "credit")
DECISION = _narrow(DECISIONS, "runId", "at", "planner", "model", "cost", "promptTokens", "completionTokens")
NO_ANSWERS: Columns = {name: [] for name in ("runId", "at", "planner", "model", "cost", "tokens")}
PAID: Mapping[str, Any] = {"paymentStatus": "completed", "refunded": 0, "credit": 0}
UNSIGNED: Mapping[str, Any] = {"paymentStatus": "", "refunded": 0, "credit": 0}
NO_TIME = -(2**63)
"""In a column of times: none."""
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
        answers = NO_ANSWERS if self.vendor else self.rows.answer_columns(self.scope, run_ids)
        if jobs is not None and payments is not None and answers is not None:
            yield self._rows(runs, _typed(jobs, JOB), payments, answers)
            return
        if len(runs) == 1:
            raise StoreError(f"run {run_ids[0]} has more jobs than one answer of MongoDB can hold: no report counts it")
        middle = len(runs) // 2
        for half in (runs.iloc[:middle], runs.iloc[middle:]):
            yield from self._parts(half.reset_index(drop=True))

    def _rows(self, runs: Frame, jobs: Frame, payments: Columns, answers: Columns) -> Rows:
        run_ids = runs.runId.tolist()
        run_set = set(run_ids)
        jobs = jobs.assign(errorMessage=jobs.errorMessage.fillna(""))
        whole = _purchases(_of(jobs, run_set), payments)
        self.count(len(runs) + len(jobs) + len(payments["jobId"]))
        unmatched = self._without_job(payments, run_set, set(whole.jobId))
        states = zip(whole.state, whole.paymentStatus, whole.jobId, strict=True)
        unmatched += [job_id for state, paid, job_id in states if (state, paid) not in OVER]
        purchases = whole
        if self.vendor:
            purchases = whole[whole.vendorId == self.vendor].reset_index(drop=True)
            runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
            whole = whole[whole.runId.isin(purchases.runId)].reset_index(drop=True)
        return Rows(runs, purchases, whole, _of(_decisions(answers), run_set), unmatched)

    def _without_job(self, payments: Columns, run_ids: set[str], job_ids: set[str]) -> list[str]:
        """The jobs that these runs paid for and that are not there."""
        missing = [job_id for job_id in payments["jobId"] if job_id not in job_ids]
        rows = self.rows.payments_of(missing) if missing else []
        return [str(row["jobId"]) for row in rows if row["runId"] in run_ids]


def _of(table: Frame, run_ids: set[str]) -> Frame:
    """The rows of these runs. Frame.isin() takes many times as long over texts."""
    return table[np.array([run_id in run_ids for run_id in table.runId], "bool")].reset_index(drop=True)


def _decisions(answers: Columns) -> Frame:
    counts = [with_token_counts({"tokens": tokens}) for tokens in answers["tokens"]]
    texts = {name: ["" if text is None else text for text in answers[name]] for name in ("planner", "model")}
    tokens = {name: [count[name] for count in counts] for name in ("promptTokens", "completionTokens")}
    return _typed({**answers, **texts, **tokens}, DECISION)


def _purchases(jobs: Frame, payments: Columns) -> Frame:
    """Jobs with their payments."""
    signed_at = dict(zip(payments["jobId"], payments["signedAt"], strict=True))
    special = {row["jobId"]: row for row in payments["special"]}
    rows = [special.get(job_id, PAID if job_id in signed_at else UNSIGNED) for job_id in jobs.jobId]
    times = pd.Series(pd.array([signed_at.get(job_id, NO_TIME) for job_id in jobs.jobId], dtype="int64"))
    joined = jobs.assign(
        paymentStatus=pd.Series([row["paymentStatus"] for row in rows], dtype="object"),
        signedAt=times.astype("datetime64[ms]").dt.tz_localize("UTC"),
        **{name: pd.Series([row[name] for row in rows], dtype="int64") for name in BACK},
    )
    return with_costs(joined, PURCHASE)


def _typed(columns: Columns, kinds: Mapping[str, str]) -> Frame:
    times = {
        name: pd.Series(pd.array(columns[name], dtype="int64").astype("datetime64[ms]")).dt.tz_localize("UTC")
        for name, kind in kinds.items()
        if kind == TIME
    }
    texts = {name: values for name, values in columns.items() if name in kinds and name not in times}
    return frame(pd.DataFrame({**texts, **times}, columns=list(kinds)), kinds)
