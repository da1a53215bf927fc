"""A process that is killed at a chosen line of a module, again and again, until nothing is left to kill."""

import inspect
import linecache
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any


class Killed(BaseException):
    """The end of the process, as far as one process can play it: nothing of ours catches it."""


def killed_at(number: int, kind: Any, act: Callable[[], object], word: str = "") -> bool:
    """Whether the act was killed before it executed line `number` of the module of a class or function, from 0.

    word: counts only lines with this text. In a thread of its own: an exception that a killed one was about to handle
    would stay the context of all that its thread raises later.
    """
    path, count, happened = inspect.getfile(kind), 0, False

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count, happened
        if frame.f_code.co_filename != path:
            return None
        if event == "line" and word in linecache.getline(path, frame.f_lineno) and not happened:
            count += 1
            if count > number:
                happened = True
                raise Killed
        return trace

    def play() -> None:
        sys.settrace(trace)
        try:
            act()
        except Killed:
            pass
        finally:
            sys.settrace(None)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(play).result()
    return happened
