"""News from MongoDB for a panel: whoever ticks a run, here or elsewhere, it moves on the screen."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost, StoreError
from gpuagent.panels.kit.tasks import Bridge
from gpuagent.wiring import Database

RATE_HZ = 10
RETRY_S = 1.0


@dataclass(slots=True)
class News:
    """What has changed since the last time: kinds of documents by run id. everything: all may have."""

    kinds: dict[str, set[str]] = field(default_factory=dict)
    everything: bool = False
    problem: str = ""


class Live:
    """One thread that watches; tell is called on the panel's loop, at most RATE_HZ times a second."""

    def __init__(self, database: Database, bridge: Bridge, tell: Callable[[News], None]) -> None:
        self._database, self._bridge, self._tell = database, bridge, tell
        self._lock, self._news, self._due = threading.Lock(), News(), False
        self._told_at = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="gpuagent-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread within about a second."""
        self._closed.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _follow(self) -> None:
        token: str | None = None
        while not self._closed.is_set():
            try:
                with closing(self._database.reads.watch(None, token)) as changes:
                    for change in changes:
                        token = change.token
                        if self._closed.is_set():
                            return
                        self._note(change)
            except ChangesLost:
                token = None
                self._closed.wait(RETRY_S)
            except StoreError as error:
                self._add(News(problem=str(error)))
                self._closed.wait(RETRY_S)

    def _note(self, change: Change) -> None:
        match change.kind:
            case "idle":
                return
            case "open" | "policy":
                self._add(News(everything=True))
            case kind:
                run_id = str(change.document["_id" if kind == "run" else "runId"])
                self._add(News({run_id: {kind}}))

    def _add(self, more: News) -> None:
        with self._lock:
            for run_id, kinds in more.kinds.items():
                self._news.kinds.setdefault(run_id, set()).update(kinds)
            self._news.everything |= more.everything
            self._news.problem = more.problem
            if self._due:
                return
            self._due = True
        self._bridge.call(self._soon)

    def _soon(self) -> None:
        """On the loop: now, or once the last time is long enough ago."""
        self._bridge.later(max(0.0, self._told_at + 1 / RATE_HZ - time.monotonic()), self._fire)

    def _fire(self) -> None:
        with self._lock:
            news, self._news, self._due = self._news, News(), False
        self._told_at = time.monotonic()
        if not self._closed.is_set():
            self._tell(news)
