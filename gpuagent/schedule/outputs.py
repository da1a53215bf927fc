"""Files for executed notebooks: one for each execution, named after what ran and when."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from gpuagent.core.ports import Clock
from gpuagent.errors import BadInput


def new_output(folder: Path, stem: str, clock: Clock) -> Path:
    """Make an empty file such as 40_scheduled_run-nightly-20260131T020000Z.ipynb, ours alone. Raises BadInput."""
    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
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
