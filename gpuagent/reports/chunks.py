"""The rows of a range of runs as narrow frames, some thousand runs at a time: what a summary adds up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gpuagent.core.model import OWN_PROTOCOL
from gpuagent.core.records import ReportScope
from gpuagent.errors import StoreError
from gpuagent.reports.figures.summary import Rows
from gpuagent.reports.frames import DECISIONS, TIME, Frame, costs, frame, saved_by, with_token_counts
from gpuagent.reports.ids import Ids
from gpuagent.reports.partitions import LEAF_BITS
from gpuagent.reports.summary_rows import Array, Coded, Columns, Count, Lists, SummaryRows

OVER = (("settled", "completed"), ("voided", "failed"), ("voided", ""))
"""State of a job and status of its payment, where the records agree that nothing is left to be decided."""
ANSWERS = {
    name: "object" if kind == "str" else kind
    for name, kind in DECISIONS.items()
    if name in ("runId", "at", "planner", "model", "cost", "promptTokens", "completionTokens")
}
NO_ANSWERS: Lists = {name: [] for name in ("runId", "at", "planner", "model", "cost", "tokens")}
NO_TIME = -(2**63)
"""In a column of times: none. It is before all others."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of some runs as they were read. part: the places of these runs among those of `runs`."""

    runs: Columns
    part: slice
    run_ids: Ids
    jobs: Columns
    payments: Columns
    answers: Lists


@dataclass(frozen=True, slots=True)
class Chunks:
    """Reads the rows of a scope. vendor: only this one's purchases, or "" for all. most: runs that are read at once.

    A thread may read a chunk while another makes rows of the one before it.
    """

    rows: SummaryRows
    scope: ReportScope
    vendor: str
    most: int
    count: Count

    def within(self, first: str, end: str) -> Iterator[Chunk]:
        """A range of runs, so many at a time as are held at once."""
        while True:
            runs = self.rows.run_columns(self.scope, first, end, self.most)
            run_ids = Ids(runs["runId"])
            if run_ids:
                yield from self._parts(runs, slice(0, len(run_ids)), run_ids)
            if len(run_ids) < self.most:
                return
            first = f"{int(run_ids[-1], 16) + 1:024x}"

    def _parts(self, runs: Columns, part: slice, run_ids: Ids) -> Iterator[Chunk]:
        """The rows of some runs; in halves where they are too many to be held. run_ids: of the part."""
        jobs, payments = self.rows.job_columns(self.scope, run_ids), self.rows.payment_columns(self.scope, run_ids)
        answers = NO_ANSWERS if self.vendor else self.rows.answer_columns(self.scope, run_ids)
        if jobs is not None and payments is not None and answers is not None:
            yield Chunk(runs, part, run_ids, jobs, payments, answers)
            return
        if len(run_ids) == 1:
            raise StoreError(f"run {run_ids[0]} has more answers of planners than one answer of MongoDB can hold")
        middle = len(run_ids) // 2
        for half in (slice(0, middle), slice(middle, len(run_ids))):
            places = slice(part.start + half.start, part.start + half.stop)
            yield from self._parts(runs, places, run_ids[half])

    def decoded(self, chunk: Chunk) -> Rows:
        """The rows of a chunk, decoded. Raises StoreError."""
        run_ids, jobs, payments = chunk.run_ids, dict(chunk.jobs), dict(chunk.payments)
        runs = _runs(dict(chunk.runs)).iloc[chunk.part].assign(runId=np.arange(len(run_ids)))
        job_ids, paid_ids = Ids(jobs["jobId"]), Ids(payments["jobId"])
        self.count(len(runs) + len(job_ids) + len(paid_ids))
        paid_places = job_ids.places_of(paid_ids)
        of_runs = run_ids.places_of(Ids(jobs["runId"]))
        whole = _purchases(jobs, of_runs, payments, paid_places)
        whole = whole[of_runs >= 0].reset_index(drop=True)
        missing = paid_ids.texts((paid_places < 0) | ~np.isin(paid_places, whole.jobId))
        unmatched = self._without_job(missing, run_ids)
        over = np.zeros(len(whole), "bool")
        for state, paid in OVER:
            over |= ((whole.state == state) & (whole.paymentStatus == paid)).to_numpy()
        unmatched += job_ids.texts(whole.jobId.to_numpy()[~over])
        purchases = whole
        if self.vendor:
            purchases = whole[whole.vendorId == self.vendor].reset_index(drop=True)
            runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
            whole = whole[whole.runId.isin(purchases.runId)].reset_index(drop=True)
        by_leaf = _by_leaf(jobs["runId"]["high"], jobs["actualCost"])
        return Rows(runs, purchases, whole, _decisions(chunk.answers, run_ids), unmatched, run_ids, job_ids, by_leaf)

    def _without_job(self, missing: Sequence[str], run_ids: Ids) -> list[str]:
        """The jobs that these runs paid for and that are not there."""
        rows = [(str(row["jobId"]), str(row["runId"])) for row in self.rows.payments_of(missing)] if missing else []
        places = run_ids.places_of(Ids.of([run_id for _, run_id in rows]))
        return [job_id for (job_id, _), place in zip(rows, places, strict=True) if place >= 0]


def _by_leaf(high: Array, amounts: Array) -> dict[int, tuple[int, int]]:
    """The number of rows and the sum of amounts by leaf. high: the first eight bytes of ids of runs."""
    leaves, places, counts = np.unique(high >> np.uint64(64 - LEAF_BITS), return_inverse=True, return_counts=True)
    sums = np.zeros(len(leaves), "int64")
    np.add.at(sums, places, amounts)
    return dict(zip(leaves.tolist(), zip(counts.tolist(), sums.tolist(), strict=True), strict=True))


def _runs(columns: Columns) -> Frame:
    """The runs, whose runId is their number."""
    tags = _objects(columns["tags"], lambda names: tuple(names))
    needed = np.where(columns["hasFile"], columns["maxHours"], np.nan)
    return pd.DataFrame(
        {
            "runId": np.arange(len(columns["runId"])),
            **{name: _texts(columns[name]) for name in ("userId", "planner", "status")},
            "tags": tags,
            "createdAt": _times(columns["createdAt"]),
            **{name: columns[name] for name in ("settled", "plannerCost", "budgetTotal")},
            "needed": needed,
            "plannerArms": _objects(columns["plannerArms"], lambda arms: arms or None),
        }
    )


def _purchases(jobs: Columns, of_runs: Array, payments: Columns, paid_places: Array) -> Frame:
    """Jobs with their payments. jobId: the job's number; runId: of its run, -1 for another's.

    paid_places: of the job of each payment, -1 where there is none.
    """
    count, paid_for = len(of_runs), np.flatnonzero(paid_places >= 0)
    of_payment = np.full(count, -1)
    of_payment[paid_places[paid_for]] = paid_for
    signed = of_payment >= 0

    def of_paid(name: str, missing: int) -> Array:
        values = np.full(count, missing, "int64")
        values[signed] = payments[name][of_payment[signed]]
        return values

    codes, names = payments["paymentStatus"]
    statuses = np.full(count, -1)
    statuses[signed] = codes[of_payment[signed]]
    state, signed_at = _texts(jobs["state"]), of_paid("signedAt", NO_TIME)
    returned = {"refunded": of_paid("refunded", 0).clip(min=0), "credit": of_paid("credit", 0)}
    amounts = costs(np.asarray(state == "settled"), {**jobs, **returned})
    settled_at, created_at = jobs["settledAt"], jobs["createdAt"]
    no_earlier = np.maximum(np.maximum(settled_at, created_at), signed_at)
    return pd.DataFrame(
        {
            "jobId": np.arange(count),
            "runId": of_runs,
            "protocol": _texts(jobs["protocol"], OWN_PROTOCOL),
            **{name: _texts(jobs[name]) for name in ("gpuType", "vendorId", "status", "errorMessage")},
            "state": state,
            "hedges": _texts((np.where(jobs["hedges"]["high"] > 0, 0, -1), ["a late job"])),
            "paymentStatus": _texts((statuses, names)),
            "hours": jobs["hours"],
            "expectedCost": jobs["expectedCost"],
            "createdAt": _times(created_at),
            "signedAt": _times(signed_at),
            "settledAt": _times(np.where(settled_at == NO_TIME, NO_TIME, no_earlier)),
            "completedAt": _times(jobs["completedAt"]),
            **amounts,
            "saved": _saved(amounts["paid"], jobs["hours"], jobs["hoursSaved"]),
        }
    )


def _saved(paid: Array, hours: Array, hours_saved: Array) -> Array:
    saved = np.zeros(len(paid), "int64")
    for place in np.flatnonzero(hours_saved > 0):
        saved[place] = saved_by(int(paid[place]), float(hours[place]), float(hours_saved[place]))
    return saved


def _texts(coded: Coded, missing: str = "") -> pd.Categorical:
    """A column of texts. missing: where there is none."""
    codes, names = coded
    if (codes < 0).any():
        names = names if missing in names else [*names, missing]
        codes = np.where(codes < 0, names.index(missing), codes)
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="object"))


def _objects(coded: Coded, make: Any) -> Array:
    """The lists of a column, one object for all that are the same; None where there is none."""
    codes, lists = coded
    objects = np.empty(len(lists) + 1, "object")
    objects[:] = [*(make(values) for values in lists), None]  # the last one is that of -1
    return objects[codes]


def _times(milliseconds: Array) -> "pd.Series[Any]":
    return pd.Series(milliseconds.view("datetime64[ms]")).dt.tz_localize("UTC")


def _decisions(answers: Lists, run_ids: Ids) -> Frame:
    counts = [with_token_counts({"tokens": tokens}) for tokens in answers["tokens"]]
    texts = {name: ["" if text is None else text for text in answers[name]] for name in ("planner", "model")}
    tokens = {name: [count[name] for count in counts] for name in ("promptTokens", "completionTokens")}
    columns = {**answers, **texts, **tokens, "runId": run_ids.places_of(Ids.of(answers["runId"]))}
    times = _times(np.array(answers["at"], "int64"))
    table = pd.DataFrame({**{name: columns[name] for name in ANSWERS}, "at": times})
    return frame(table[table.runId >= 0].reset_index(drop=True), {**ANSWERS, "runId": "int64", "at": TIME})
