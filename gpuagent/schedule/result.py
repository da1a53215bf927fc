"""How a scheduled run ended, as the notebook's machine-readable cell, and read back from the notebook it left."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gpuagent.books.audit import Books
from gpuagent.core.model import Ledger, Run, RunStatus
from gpuagent.core.money import show_usd
from gpuagent.core.transitions import is_over, phase
from gpuagent.errors import BadInput, ChainMismatch, RunFailed
from gpuagent.render.as_json import books_json, json_value

MIME, SCHEMA = "application/vnd.gpuagent.run+json", "gpuagent.run/1"
COMPLETED, FAILED, UNFINISHED = "completed", "failed", "unfinished"


@dataclass(frozen=True, slots=True)
class Result:
    """name: what it was asked for by. ticks: made this time. trouble: why the last tick could not be made, or "".

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
    def outcome(self) -> str:
        """Unfinished also where the run has ended, and money of it is not decided on chain."""
        if not is_over(self.run):
            return UNFINISHED
        return COMPLETED if self.run.status is RunStatus.COMPLETED else FAILED

    @property
    def words(self) -> str:
        if self.outcome == UNFINISHED:
            trouble = f"; at the last one: {self.trouble}" if self.trouble else ""
            return (
                f"run {self.run.run_id} is not over after {self.ticks} ticks ({phase(self.run).value}){trouble}. "
                f"The same run_id continues it: {self.name}"
            )
        return f"run {self.run.run_id} {self.outcome}: {self.run.reason}"

    def as_json(self) -> dict[str, Any]:
        """Amounts as strings of atomic units, as everywhere in JSON."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome,
            "runId": self.run.run_id,
            "name": self.name,
            "status": self.run.status.value,
            "phase": phase(self.run).value,
            "reason": self.run.reason,
            "goal": self.run.goal,
            "planner": self.run.planner,
            "ticks": self.ticks,
            "trouble": self.trouble,
            "books": books_json(self.books) if self.books else None,
            "payments": json_value(list(self.payments)),
        }

    def check(self) -> None:
        """Makes the cell that calls it fail. Raises RunFailed, and ChainMismatch where the books differ."""
        if self.books and not self.books.balanced:
            raise ChainMismatch(f"run {self.run.run_id}: {'; '.join(self.books.differences)}: see `gpuagent books`")
        if self.outcome == FAILED:
            raise RunFailed(self.words)

    @property
    def _verdict(self) -> str:
        if self.books is None:
            return "not checked: the chain did not answer"
        return "balance, and equal the chain" if self.books.balanced else "differ from the chain"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        rows = (
            ("outcome", self.outcome),
            ("run", self.run.run_id),
            ("reason", self.run.reason or self.trouble),
            ("ticks", str(self.ticks)),
            ("settled", f"{show_usd(self.ledger.settled)} in {len(self.payments)} payments"),
            ("held", show_usd(self.ledger.held)),
            ("available", f"{show_usd(self.ledger.available)} of {show_usd(self.run.budget)}"),
            ("books", self._verdict),
        )
        cells = "".join(f'<tr><th scope="row">{name}</th><td>{escape(value)}</td></tr>' for name, value in rows)
        return {
            MIME: self.as_json(),
            "text/html": f'<table aria-label="How the run ended">{cells}</table>',
            "text/plain": self.words,
        }


def result_in(notebook: Any) -> dict[str, Any] | None:
    """The last result that a notebook (an nbformat node) shows, or None."""
    found = None
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            found = output.get("data", {}).get(MIME, found)
    return found


def read(path: Path) -> dict[str, Any]:
    """The result in a notebook's file. Raises BadInput where it holds none."""
    import nbformat

    try:
        found = result_in(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no notebook that can be read: {error}") from error
    if found is None:
        raise BadInput(f"{path} shows no result ({MIME}): it did not get so far")
    return found
