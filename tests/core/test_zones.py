"""Time zones by name."""

import os
import subprocess
import sys
from datetime import UTC

import pytest

from gpuagent.core.zones import zone_of
from gpuagent.errors import BadInput
from tests.support.notebook_path import NOTEBOOK_PATH

NONE = ("Berlin", "Europe/Berlyn", "europe/berlin/", "../UTC", "/etc/passwd", "CET+1", "Europe", "a\0b", "x" * 999, "")
OF_THE_MACHINE = ("localtime", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin")


@pytest.mark.parametrize("name", [*NONE, *OF_THE_MACHINE])
def test_what_is_no_time_zone_on_every_machine_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no time zone"):
        zone_of(name)
    assert zone_of("UTC") is UTC


def test_a_machine_without_a_database_of_zones_knows_them_all_the_same() -> None:
    """Slim containers and serverless functions have none, and a policy that names a zone must be read there too."""
    code = "from gpuagent.core.zones import zone_of; print(zone_of('Europe/Berlin'))"
    bare = {**os.environ, "PYTHONPATH": NOTEBOOK_PATH, "PYTHONTZPATH": ""}
    assert subprocess.check_output([sys.executable, "-c", code], env=bare, text=True) == "Europe/Berlin\n"
