"""Alerts sent beside ticks: a thread of its own, so that a channel which is slow to answer holds up no run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

log = logging.getLogger(__name__)
EVERY_S = 5.0
"""Between two looks for what is due to be sent."""


@contextmanager
def sending(send: Callable[[], object], every_s: float = EVERY_S) -> Iterator[None]:
    """Until the block ends, send now and then; and once more at the end, for what the last ticks brought about."""
    ended = Event()

    def work() -> None:
        while not ended.wait(every_s):
            _try(send)

    thread = Thread(target=work, name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _try(send)


def _try(send: Callable[[], object]) -> None:
    try:
        send()
    except Exception:
        log.exception("a bug: alerts were not sent, and are tried again")
