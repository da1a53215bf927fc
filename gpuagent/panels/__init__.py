"""Notebook panels: they draw what MongoDB holds and call the core; they hold no state of a run."""

from gpuagent.panels.console import Console
from gpuagent.session import Session, connect

__all__ = ["Console", "Session", "connect", "console"]

_open_consoles: list[Console] = []
"""The console of this process: a new one, made by a cell that is run again, replaces it."""


def console(run_id: str = "", session: Session | None = None) -> Console:
    """The run console, to be the last value of a cell. session: this process's own where it is not given.

    Raises ConfigError, UnknownRun.
    """
    while _open_consoles:
        _open_consoles.pop().close()
    _open_consoles.append(Console(session or connect(), run_id))
    return _open_consoles[-1]
