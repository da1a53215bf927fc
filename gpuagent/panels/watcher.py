"""Updates from MongoDB for a panel: whichever process ticks a run, its changes reach the screen."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost, StoreError
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.wiring.database import Database

RATE_HZ = 10
RETRY_S = 1.0


@dataclass(slots=True)
class Update:
    """The changes since the last update. kinds: of documents, by run id. all_runs: any run may have changed."""

    kinds: dict[str, set[str]] = field(default_factory=dict)
    all_runs: bool = False
    problem: str = ""


class Watcher:
    """A thread that watches the database. notify is called on the panel's loop, at most RATE_HZ times a second."""

    def __init__(self, database: Database, tasks: Tasks, notify: Callable[[Update], None]) -> None:
        self._database, self._tasks, self._notify = database, tasks, notify
        self._lock = threading.Lock()
        self._update = Update()
        self._scheduled = False
        self._notified_at = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="gpuagent-watcher", daemon=True)

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
                        self._add_change(change)
            except ChangesLost:
                token = None
                self._closed.wait(RETRY_S)
            except StoreError as error:
                self._add(Update(problem=str(error)))
                self._closed.wait(RETRY_S)

    def _add_change(self, change: Change) -> None:
        match change.kind:
            case "idle":
                return
            case "open" | "policy":
                self._add(Update(all_runs=True))
            case kind:
                run_id = str(change.document["_id" if kind == "run" else "runId"])
                self._add(Update({run_id: {kind}}))

    def _add(self, update: Update) -> None:
        with self._lock:
            for run_id, kinds in update.kinds.items():
                self._update.kinds.setdefault(run_id, set()).update(kinds)
            self._update.all_runs |= update.all_runs
            self._update.problem = update.problem
            if self._scheduled:
                return
            self._scheduled = True
        self._tasks.call(self._schedule)

    def _schedule(self) -> None:
        """On the loop: now, or once the last notification is long enough ago."""
        self._tasks.later(max(0.0, self._notified_at + 1 / RATE_HZ - time.monotonic()), self._fire)

    def _fire(self) -> None:
        with self._lock:
            update, self._update = self._update, Update()
            self._scheduled = False
        self._notified_at = time.monotonic()
        if not self._closed.is_set():
            self._notify(update)
