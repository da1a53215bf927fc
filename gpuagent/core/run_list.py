"""Lists of runs: which runs, in which order, and a page of them; by the same names in terminal, REST and console."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from gpuagent.core.model import Phase, RunStatus
from gpuagent.errors import BadInput

TEXT_MAX = 200
"""Characters of a filter's value."""
COUNT_MAX = 1_000
"""Runs that match a filter are counted up to this many; beyond, there are "more than"."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": tuple(status.value for status in RunStatus),
    "phase": tuple(phase.value for phase in Phase),
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are listed: those that match all that is not empty.

    user, tag: whole. vendor: at which the run has a job. text: words of the goal, case ignored and one at least whole,
    or the beginning of the run's id. Raises BadInput for a value that no run can have.
    """

    status: str = ""
    phase: str = ""
    user: str = ""
    tag: str = ""
    vendor: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > TEXT_MAX:
                raise BadInput(f"{name}: a text of at most {TEXT_MAX} characters")
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) and value not in choices:
                raise BadInput(f"{name} is one of {', '.join(choices)}, not {value[:40]!r}")


class SortField(StrEnum):
    """What runs are sorted by: only what has an index."""

    STARTED = "started"
    UPDATED = "updated"
    SPENT = "spent"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class RunSort:
    """The order of a list: the newest, or the greatest, first, unless it ascends."""

    field: SortField = SortField.STARTED
    ascending: bool = False

    def __str__(self) -> str:
        return f"{self.field.value}:asc" if self.ascending else self.field.value


def parse_sort(text: str) -> RunSort:
    """The order that a user named, such as `spent` or `spent:asc`. Raises BadInput."""
    name, _, direction = text.partition(":")
    names = [field.value for field in SortField]
    if name not in names or direction not in ("", "asc", "desc"):
        raise BadInput(f"sort by {', '.join(names)}, or one of them with :asc behind it, not by {text[:40]!r}")
    return RunSort(SortField(name), direction == "asc")


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of a list. runs: documents without their workloads. next: what the next page begins after, "" on the last.

    count: of all runs that match, COUNT_MAX + 1 for more than that; None where it was not asked for.
    """

    runs: Sequence[Mapping[str, Any]]
    next: str = ""
    count: int | None = None

    @property
    def count_text(self) -> str:
        if self.count is None:
            return ""
        return f"more than {COUNT_MAX:,}" if self.count == COUNT_MAX + 1 else f"{self.count:,}"


ALL_RUNS, NEWEST_FIRST = RunFilter(), RunSort()


class RunLists(Protocol):
    """Whatever can list runs."""

    def run_page(
        self,
        where: RunFilter = ALL_RUNS,
        sort: RunSort = NEWEST_FIRST,
        limit: int = 20,
        before: str = "",
        counted: bool = False,
    ) -> RunPage:
        """before: `next` of the page before, or a run's id; "" for the first. Raises BadInput, StoreError."""
        ...
