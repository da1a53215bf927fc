"""The rows of a range of runs as columns, some thousand runs at a time: what a summary adds up."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from gpuagent.core.model import OWN_PROTOCOL
from gpuagent.core.records import ReportScope
from gpuagent.errors import StoreError
from gpuagent.reports.ahead import ahead, itself
from gpuagent.reports.columns import NO_TIME, Texts, Values, objects, select
from gpuagent.reports.figures.summary import Rows
from gpuagent.reports.frames import costs, saved_by, with_token_counts
from gpuagent.reports.ids import Ids
from gpuagent.reports.partitions import LEAF_BITS, Partition
from gpuagent.reports.summary_rows import Array, Coded, Columns, Count, Lists, SummaryRows

OVER = (("settled", "completed"), ("voided", "failed"), ("voided", ""))
"""State of a job and status of its payment, where the records agree that nothing is left to be decided."""
NO_ANSWERS: Lists = {name: [] for name in ("runId", "at", "planner", "model", "cost", "tokens")}


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

    def read(self, parts: Iterable[Partition]) -> Generator[tuple[Partition, Rows | None], None, None]:
        """The rows of each partition, in parts, and None at its end.

        A thread decodes the next ones, a second reads those after them, a third the runs behind these. To be closed.
        """

        def decode(item: tuple[Partition, Chunk | None]) -> tuple[Partition, Rows | None]:
            part, chunk = item
            return part, self.decoded(chunk) if chunk else None

        return ahead(ahead(self._chunks_of(parts), itself), decode)

    def _chunks_of(self, parts: Iterable[Partition]) -> Generator[tuple[Partition, Chunk | None], None, None]:
        with closing(ahead(self._runs_of(parts), itself)) as tables:
            for part, runs, run_ids in tables:
                if run_ids:
                    yield from zip(repeat(part), self._parts(runs, slice(0, len(run_ids)), run_ids))
                if len(run_ids) < self.most:
                    yield part, None

    def _runs_of(self, parts: Iterable[Partition]) -> Generator[tuple[Partition, Columns, Ids], None, None]:
        """The runs of each, so many at a time as are held at once; fewer at its end."""
        for part in parts:
            first, end = part.bounds
            is_full = True
            while is_full:
                runs = self.rows.run_columns(self.scope, first, end, self.most)
                run_ids = Ids(runs["runId"])
                yield part, runs, run_ids
                if is_full := len(run_ids) == self.most:
                    first = f"{int(run_ids[-1], 16) + 1:024x}"

    def _parts(self, runs: Columns, part: slice, run_ids: Ids) -> Iterator[Chunk]:
        """The rows of some runs; in halves where they are too many to be held. run_ids: of the part."""
        with ThreadPoolExecutor(1) as beside:
            reading = beside.submit(self.rows.job_columns, self.scope, run_ids)
            payments = self.rows.payment_columns(self.scope, run_ids)
            answers = NO_ANSWERS if self.vendor else self.rows.answer_columns(self.scope, run_ids)
            jobs = reading.result()
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
        numbers = np.arange(len(run_ids))
        runs = {**select(_runs(chunk.runs), numbers + chunk.part.start), "runId": numbers}
        job_ids, paid_ids = Ids(jobs["jobId"]), Ids(payments["jobId"])
        self.count(len(run_ids) + len(job_ids) + len(paid_ids))
        paid_places = job_ids.places_of(paid_ids)
        of_runs = run_ids.places_of(Ids(jobs["runId"]))
        whole = select(_purchases(jobs, of_runs, payments, paid_places), of_runs >= 0)
        missing = paid_ids.texts((paid_places < 0) | ~np.isin(paid_places, whole["jobId"]))
        unmatched = self._without_job(missing, run_ids)
        over = [whole["state"].are(state) & whole["paymentStatus"].are(paid) for state, paid in OVER]
        unmatched += job_ids.texts(whole["jobId"][~np.any(over, axis=0)])
        purchases = whole
        if self.vendor:
            purchases = select(whole, whole["vendorId"].are(self.vendor))
            bought = np.bincount(purchases["runId"], minlength=len(run_ids)) > 0
            runs, whole = select(runs, bought), select(whole, bought[whole["runId"]])
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


def _runs(columns: Columns) -> dict[str, Any]:
    return {
        **{name: _texts(columns[name]) for name in ("userId", "planner", "status")},
        **{name: _lists(columns[name], missing) for name, missing in (("tags", []), ("plannerArms", None))},
        **{name: columns[name] for name in ("createdAt", "settled", "plannerCost", "budgetTotal")},
        "needed": np.where(columns["hasFile"], columns["maxHours"], np.nan),
    }


def _purchases(jobs: Columns, of_runs: Array, payments: Columns, paid_places: Array) -> dict[str, Any]:
    """Jobs with their payments. jobId: the job's number; runId: of its run, -1 for another's.

    paid_places: of the job of each payment, -1 where there is none.
    """
    count, paid_for = len(of_runs), np.flatnonzero(paid_places >= 0)
    of_payment = np.full(count, -1)
    of_payment[paid_places[paid_for]] = paid_for

    def of_paid(values: Array, missing: int) -> Array:
        # The last value is that of -1.
        paid: Array = np.append(values, missing)[of_payment]
        return paid

    codes, names = payments["paymentStatus"]
    state, signed_at = _texts(jobs["state"]), of_paid(payments["signedAt"], NO_TIME)
    returned = {"refunded": of_paid(payments["refunded"], 0).clip(min=0), "credit": of_paid(payments["credit"], 0)}
    amounts = costs(state.are("settled"), {**jobs, **returned})
    settled_at, created_at = jobs["settledAt"], jobs["createdAt"]
    no_earlier = np.maximum(np.maximum(settled_at, created_at), signed_at)
    return {
        "jobId": np.arange(count),
        "runId": of_runs,
        "protocol": _texts(jobs["protocol"], OWN_PROTOCOL),
        **{name: _texts(jobs[name]) for name in ("gpuType", "vendorId", "status", "errorMessage")},
        "state": state,
        "hedges": jobs["hedges"]["high"] > 0,
        "paymentStatus": Texts.of(of_paid(codes, -1), names),
        "hours": jobs["hours"],
        "expectedCost": jobs["expectedCost"],
        "createdAt": created_at,
        "signedAt": signed_at,
        "settledAt": np.where(settled_at == NO_TIME, NO_TIME, no_earlier),
        "completedAt": jobs["completedAt"],
        **amounts,
        "saved": _saved(amounts["paid"], jobs["hours"], jobs["hoursSaved"]),
    }


def _saved(paid: Array, hours: Array, hours_saved: Array) -> Array:
    saved = np.zeros(len(paid), "int64")
    for place in np.flatnonzero(hours_saved > 0):
        saved[place] = saved_by(int(paid[place]), float(hours[place]), float(hours_saved[place]))
    return saved


def _texts(coded: Coded, missing: str = "") -> Texts:
    codes, names = coded
    return Texts.of(codes, names, missing)


def _lists(coded: Coded, missing: Any) -> Values:
    codes, lists = coded
    return Values(codes, objects([*lists, missing]))


def _decisions(answers: Lists, run_ids: Ids) -> dict[str, Any]:
    places = run_ids.places_of(Ids.of(answers["runId"]))
    counts = [with_token_counts({"tokens": tokens}) for tokens in answers["tokens"]]
    amounts = {"cost": answers["cost"]}
    amounts |= {name: [count[name] for count in counts] for name in ("promptTokens", "completionTokens")}
    table = {
        "runId": places,
        "at": np.array(answers["at"], "int64"),
        **{name: objects(["" if text is None else text for text in answers[name]]) for name in ("planner", "model")},
        **{name: np.array([_amount(value) for value in values], "int64") for name, values in amounts.items()},
    }
    return select(table, places >= 0)


def _amount(value: Any) -> int:
    """0 for none, and for what is no number."""
    return 0 if value is None or value != value else int(value)
