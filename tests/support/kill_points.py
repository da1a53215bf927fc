"""A process that is killed at a chosen line of a module, again and again, until nothing is left to kill."""

import inspect
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


class Killed(BaseException):
    """The end of the process, as far as one process can play it: nothing of ours catches it."""


@dataclass
class Kill:
    happened: bool = False


@contextmanager
def killed_at(number: int, kind: type, word: str = "") -> Iterator[Kill]:
    """Kills what the block does before it executes line `number` of the module of a class, counted from 0 as they are
    executed in this thread; word: counts only lines with this text. Afterwards says whether there was such a line."""
    path, kill, count = inspect.getfile(kind), Kill(), 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != path:
            return None
        if event == "line" and word in linecache.getline(path, frame.f_lineno) and not kill.happened:
            count += 1
            if count > number:
                kill.happened = True
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield kill
    except Killed:
        pass
    finally:
        sys.settrace(before)
