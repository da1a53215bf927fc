"""The result of a scheduled run, as a machine-readable cell of its notebook, and read back from the notebook."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

from gpuagent.books.audit import Books
from gpuagent.core.model import Ledger, Run, RunStatus, Settled
from gpuagent.core.money import show_usd
from gpuagent.core.run_state import phase
from gpuagent.core.steps import is_over
from gpuagent.core.text import counted
from gpuagent.core.work import Failed
from gpuagent.errors import BadInput, ChainMismatch, RunFailed
from gpuagent.render.as_json import books_json
from gpuagent.render.json_value import json_value

MIME, SCHEMA = "application/vnd.gpuagent.run+json", "gpuagent.run/1"


class Ending(StrEnum):
    """How a scheduled start ended, as its result names it."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    """Not over yet; also an ended run with a payment that is undecided on chain."""


@dataclass(frozen=True, slots=True)
class Result:
    """The state in which a scheduled run was left, with its books.

    name: the run_id parameter. ticks: made this time. trouble: why the last tick could not be made, or "".
    books: None where the chain did not answer. payments: documents.
    """

    name: str
    run: Run
    ticks: int
    trouble: str
    ledger: Ledger
    books: Books | None
    payments: tuple[Mapping[str, Any], ...]

    @property
    def ending(self) -> Ending:
        if not is_over(self.run):
            return Ending.UNFINISHED
        return Ending.COMPLETED if self.run.status is RunStatus.COMPLETED else Ending.FAILED

    @property
    def summary(self) -> str:
        if self.ending is Ending.UNFINISHED:
            trouble = f"; at the last one: {self.trouble}" if self.trouble else ""
            return (
                f"run {self.run.run_id} is not over after {self.ticks} ticks ({phase(self.run).value}){trouble}. "
                f"The same run_id continues it: {self.name}"
            )
        return f"run {self.run.run_id} {self.ending}: {self.run.reason}; {self.costs}"

    @property
    def costs(self) -> str:
        """What was paid, and what of it went to jobs that failed, as the chain has settled it."""
        failed = [job for job in self.run.jobs if isinstance(job, Settled) and isinstance(job.work, Failed)]
        text = f"{show_usd(self.ledger.settled)} paid"
        if failed:
            lost = show_usd(sum(job.quote.amount for job in failed))
            text += f", of it {lost} for {counted(len(failed), 'job')} that failed"
        return text

    def as_json(self) -> dict[str, Any]:
        """The result for programs; amounts are strings of atomic units."""
        return {
            "schema": SCHEMA,
            "outcome": self.ending.value,
            "runId": self.run.run_id,
            "name": self.name,
            "status": self.run.status.value,
            "phase": phase(self.run).value,
            "reason": self.run.reason,
            "goal": self.run.goal,
            "planner": self.run.planner,
            "ticks": self.ticks,
            "trouble": self.trouble,
            "costs": self.costs,
            "books": books_json(self.books) if self.books else None,
            "payments": json_value(list(self.payments)),
        }

    def check(self) -> None:
        """Make the cell that calls it fail. Raises RunFailed, and ChainMismatch where the books differ."""
        if self.books and not self.books.balanced:
            raise ChainMismatch(f"run {self.run.run_id}: {'; '.join(self.books.differences)}: see `gpuagent books`")
        if self.ending is Ending.FAILED:
            raise RunFailed(self.summary)

    @property
    def _verdict(self) -> str:
        if self.books is None:
            return "not checked: the chain did not answer"
        return "balance, and equal the chain" if self.books.balanced else "differ from the chain"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        rows = (
            ("outcome", self.ending),
            ("run", self.run.run_id),
            ("reason", self.run.reason or self.trouble),
            ("ticks", str(self.ticks)),
            ("settled", f"{show_usd(self.ledger.settled)} in {counted(len(self.payments), 'payment')}"),
            ("costs", self.costs),
            ("held", show_usd(self.ledger.held)),
            ("available", f"{show_usd(self.ledger.available)} of {show_usd(self.run.budget)}"),
            ("books", self._verdict),
        )
        cells = "".join(f'<tr><th scope="row">{name}</th><td>{escape(value)}</td></tr>' for name, value in rows)
        return {
            MIME: self.as_json(),
            "text/html": f'<table aria-label="How the run ended">{cells}</table>',
            "text/plain": self.summary,
        }


def result_in(notebook: Any) -> dict[str, Any] | None:
    """The last result in the outputs of a notebook (an nbformat node), or None."""
    result = None
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            result = output.get("data", {}).get(MIME, result)
    return result


def read(path: Path) -> dict[str, Any]:
    """The result in a notebook's file. Raises BadInput where it holds none."""
    import nbformat

    try:
        result = result_in(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no notebook that can be read: {error}") from error
    if result is None:
        raise BadInput(f"{path} shows no result ({MIME}): it did not get so far")
    return result
