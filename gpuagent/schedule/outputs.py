"""Files for executed notebooks: one for each execution, named after what ran and when, and how long they are kept."""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from gpuagent.core.ports.clock import Clock
from gpuagent.errors import BadInput

STAMP = "%Y%m%dT%H%M%SZ"
_TAIL = re.compile(r"-(?P<stamp>\d{8}T\d{6}Z)(-(?P<number>\d+))?\.ipynb", re.ASCII)

_PERIOD = re.compile(r"-\d{4}-(?:\d\d-\d\d|W\d\d|\d\d)(?:T\d\d)?$", re.ASCII)
"""What `--per` puts behind a name."""


def new_output(folder: Path, stem: str, clock: Clock) -> Path:
    """Make an empty file such as 40_scheduled_run-nightly-20260131T020000Z.ipynb, ours alone. Raises BadInput."""
    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime(STAMP)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = folder / f"{stem}-{stamp}{f'-{number}' if number > 1 else ''}.ipynb"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}: name another folder by --out") from error
    raise AssertionError("unreachable")


def remove_old(folder: Path, notebook: Path, clock: Clock, keep: int = 0, days: int = 0) -> list[Path]:
    """Remove executed copies of the notebook beyond the newest `keep`, and those older than so many days; 0: no limit.

    Only what new_output() named and papermill wrote of this very notebook is touched, or left empty. Returns what was
    removed. Raises BadInput where one cannot be.
    """
    copies = sorted(copy for path in folder.glob("*.ipynb") if (copy := _executed_at(path, notebook)))
    oldest = (datetime.fromtimestamp(clock.now(), UTC) - timedelta(days=days)).strftime(STAMP) if days else ""
    surplus = copies[:-keep] if keep else []
    removed = [copy[-1] for copy in copies if copy in surplus or copy[0] < oldest]
    try:
        for path in removed:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"an old copy in {folder} cannot be removed: {error.strerror}: remove it yourself") from error
    return removed


def stamped(path: Path) -> tuple[str, str, int] | None:
    """What an executed copy is of, without a period behind it, with its stamp and number; None for another file."""
    tail = _TAIL.search(path.name)
    if not tail:
        return None
    return _PERIOD.sub("", path.name[: tail.start()]), tail["stamp"], int(tail["number"] or 1)


def _executed_at(path: Path, notebook: Path) -> tuple[str, int, Path] | None:
    """When the copy was begun, as its name says; None where the file is no executed copy of this notebook."""
    tail = _TAIL.search(path.name)
    if not tail or not path.name.startswith(f"{notebook.stem}-"):
        return None
    try:
        content = path.read_bytes()
        origin = json.loads(content)["metadata"]["papermill"]["input_path"] if content else notebook.name
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not isinstance(origin, str) or Path(origin).name != notebook.name:
        return None
    return tail["stamp"], int(tail["number"] or 1), path
