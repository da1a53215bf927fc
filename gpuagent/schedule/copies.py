"""Executed copies of notebooks in a folder, by what they were executed for, and how the newest of them ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpuagent.errors import BadInput
from gpuagent.schedule.outputs import STAMP, stamped
from gpuagent.schedule.result import read


@dataclass(frozen=True, slots=True)
class Copies:
    """The executed copies of one name in one folder. newest: the file; at: when it was begun, ISO 8601 in UTC.

    result: of the newest, as result.Result.as_json() has it; None where it shows none.
    """

    folder: Path
    name: str
    count: int
    bytes: int
    newest: Path
    at: str
    result: Mapping[str, Any] | None

    @property
    def outcome(self) -> str:
        """How the newest ended, in words."""
        if self.result is None:
            return "no result: it was cut short, or is a notebook without a run"
        why = self.result.get("reason") or self.result.get("trouble") or self.result.get("phase")
        return f"{self.result['outcome']}: {why}"

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "name": self.name,
            "count": self.count,
            "bytes": self.bytes,
            "newest": str(self.newest),
            "at": self.at,
            "result": dict(self.result) if self.result is not None else None,
        }


def copies_in(folder: Path) -> list[Copies]:
    """The executed copies in a folder and in its folders, by name; none where there is no such folder."""
    groups: dict[tuple[Path, str], list[tuple[str, int, Path]]] = {}
    for path in (*folder.glob("*.ipynb"), *folder.glob("*/*.ipynb")):
        if copy := stamped(path):
            stem, stamp, number = copy
            groups.setdefault((path.parent, stem), []).append((stamp, number, path))
    return [_group(place, name, sorted(files)) for (place, name), files in sorted(groups.items())]


def _group(folder: Path, name: str, files: list[tuple[str, int, Path]]) -> Copies:
    stamp, _, newest = files[-1]
    at = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    try:
        result: Mapping[str, Any] | None = read(newest)
    except BadInput:
        result = None
    return Copies(folder, name, len(files), sum(path.stat().st_size for *_, path in files), newest, at, result)
