"""One tick that dies: `python -m tests.support.crash.ticker RUN_ID POINT AHEAD_S` kills itself at the point."""

import os
import sys

from gpuagent import settings, wiring
from gpuagent.tick import tick
from tests.support.clock import TurnableClock, turned
from tests.support.crash.points import dying


def main(run_id: str, point: str, ahead_s: str) -> None:
    environ = dict(os.environ)
    with wiring.open_agent(settings.read(environ)) as agent:
        tick(run_id, dying(turned(agent, TurnableClock(float(ahead_s))).ports, point, environ))


if __name__ == "__main__":
    main(*sys.argv[1:])
