"""One tick that dies: it kills its process at the point."""

import sys
from collections.abc import Mapping
from pathlib import Path

from gpuagent import settings, wiring
from gpuagent.tick import tick
from tests.support.clock import TurnableClock, turned
from tests.support.crash.points import dying


def tick_and_die(environ: Mapping[str, str], run_id: str, point: str, ahead_s: float, errors: Path) -> None:
    """errors: the file that the process says in what went wrong."""
    environ = dict(environ)
    sys.stderr = errors.open("a")
    with wiring.open_agent(settings.read(environ)) as agent:
        tick(run_id, dying(turned(agent, TurnableClock(ahead_s)).ports, point, environ))
