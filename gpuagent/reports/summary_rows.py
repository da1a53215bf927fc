"""The rows that summaries are made of, as a database gives them, and what it keeps of summaries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from gpuagent.core.records import ReportScope
from gpuagent.reports.stream import StreamedRows

Array: TypeAlias = npt.NDArray[Any]
Coded: TypeAlias = tuple[Array, list[Any]]
"""Codes of a column, and the texts or lists that they stand for; -1: nothing."""
Columns: TypeAlias = Mapping[str, Any]
"""Ids as arrays with the fields high and low, times as milliseconds, amounts in atomic units; texts and lists Coded."""
Lists: TypeAlias = Mapping[str, list[Any]]
Count: TypeAlias = Callable[[int], None]
"""Called with the number of rows of each batch that is read."""


def uncounted(rows: int) -> None:
    """Counts nothing."""


class SummaryRows(StreamedRows, Protocol):
    """The rows of ranges of runs, as columns, and what is kept of them; each method raises StoreError.

    first, end: ids of runs, first <= id < end. run_ids: in their order. In columns of times: milliseconds.
    """

    @property
    def age_s(self) -> float:
        """Seconds since these rows were opened, all of which are of that moment."""
        ...

    def moment(self) -> str:
        """The moment that these rows are of, "" for one that is not known; asked for before any of them is read."""
        ...

    def changed_leaves(self, since: str, until: str, seconds: float) -> set[int] | None:
        """The leaves of runs of which something was written after one moment and until another.

        None: it is not known, or takes longer.
        """
        ...

    def run_counts(self, scope: ReportScope, first: str, end: str) -> Mapping[int, tuple[int, int]]:
        """By leaf, the number of runs of the network, the user and the tag, and the sum of their versions."""
        ...

    def touched_leaves(self, scope: ReportScope) -> set[int]: ...

    def job_counts(self, first: str, end: str) -> Mapping[int, tuple[int, int]]:
        """By leaf, the number of all jobs and the sum of what they cost, which changes without a version of the run."""
        ...

    def returned_counts(self, first: str, end: str) -> Mapping[int, tuple[int, int]]:
        """By leaf, the numbers of refunds and of credits, which are booked without a version of the run."""
        ...

    def run_columns(self, scope: ReportScope, first: str, end: str, limit: int) -> Columns: ...

    def job_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Columns | None:
        """None: they are too many to be held at once."""
        ...

    def payment_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Columns | None:
        """None: they are too many to be held at once. A thread may read them while another one reads jobs."""
        ...

    def answers_of(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def answer_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Lists | None: ...

    def jobs_of_runs(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def runs_of(self, run_ids: Sequence[str]) -> Iterable[Mapping[str, Any]]: ...

    def unfinished(self) -> Iterable[str]: ...

    def in_scope(self, scope: ReportScope, job_ids: Sequence[str]) -> set[str]: ...

    def kept_signatures(self, keys: Sequence[str]) -> Mapping[str, str]: ...

    def contents(self, keys: Sequence[str]) -> Iterable[tuple[str, str, bytes]]: ...

    def keep(self, key: str, signature: str, content: bytes) -> bool: ...


OpenRows: TypeAlias = Callable[[], AbstractContextManager[SummaryRows]]
