"""What the processes of tests and notebooks import first: this very tree, and nothing that they do without."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT = Path(__file__).parent / "without"
NOTEBOOK_PATH = os.pathsep.join(map(str, (WITHOUT, ROOT)))
"""A PYTHONPATH."""


def go_without() -> None:
    """Have this process, and those that it starts, find first what stands in WITHOUT."""
    if str(WITHOUT) not in sys.path:
        sys.path.insert(0, str(WITHOUT))
        more = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join((str(WITHOUT), more)) if more else str(WITHOUT)
