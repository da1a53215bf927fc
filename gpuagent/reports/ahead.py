"""Stages that work at once, by a thread each."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(items: Generator[S, None, None], step: Callable[[S], T]) -> Generator[T, None, None]:
    """What a step makes of each item: a thread makes the next one while one is dealt with, and none further ahead.

    To be closed, which closes the items too: then no thread works any more.
    """
    end: Any = object()

    def made() -> Any:
        item = next(items, end)
        return end if item is end else step(item)

    with closing(items), ThreadPoolExecutor(1) as worker:
        making = worker.submit(made)
        while True:
            results = [making.result()]
            if results[0] is end:
                return
            making = worker.submit(made)
            yield results.pop()  # held by who deals with it alone, for it may be large


def itself(item: T) -> T:
    """The step that makes nothing of an item."""
    return item
