"""What tests see of the machine: none of what a user's shell says of agents, proxies, colours or screens.

A wallet, a database or a proxy of the user's is none of theirs, and a test has one outcome on every machine.
"""

import os
import time
from collections.abc import MutableMapping

from gpuagent.wire.child_environment import ALLOWED

KEPT = (*ALLOWED, "DISPLAY", "GPUAGENT_SCREENSHOTS", "LD_PRELOAD")
KEPT_FAMILIES = ("CONTAINER", "DBUS_", "FAKETIME", "GPUAGENT_TEST_", "LC_", "PIP_", "PLAYWRIGHT_", "PYTEST_", "XDG_")
"""For the tools that tests start: where they are and keep things, and whom they may ask."""
ZONE = "Pacific/Chatham"
"""Of the machine that runs the tests, unless TZ names another: 12:45 hours from UTC, where nothing agrees by chance."""


def settle(environ: MutableMapping[str, str] = os.environ) -> None:
    """Leave out of this process's environment, and of those that it starts, what is not for tests."""
    for name in [name for name in environ if name not in KEPT and not name.startswith(KEPT_FAMILIES)]:
        del environ[name]
    environ.setdefault("TZ", ZONE)
    time.tzset()
