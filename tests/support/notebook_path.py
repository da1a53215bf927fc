"""What the processes of notebooks import first: this very tree, and nothing that they do without."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT = Path(__file__).parent / "without"
NOTEBOOK_PATH = os.pathsep.join(map(str, (WITHOUT, ROOT)))
"""A PYTHONPATH."""
