"""Panels for notebooks: they draw what MongoDB holds and call the core; they hold no state of a run."""

from gpuagent.panels.console import Console
from gpuagent.session import Desk, desk

__all__ = ["Console", "Desk", "console", "desk"]

_shown: list[Console] = []
"""The console of this process: one that is made anew, by a cell that is run again, takes the place of the last."""


def console(run_id: str = "", at: Desk | None = None) -> Console:
    """The control room, to be the last value of a cell. at: this process's own desk where it is not given.

    Raises ConfigError, UnknownRun.
    """
    while _shown:
        _shown.pop().close()
    _shown.append(Console(at or desk(), run_id))
    return _shown[-1]
