"""The log of a container, copied into its job's folder as it comes."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from seller.runners.engine import Engine, failures
from seller.runners.isolation import LOG_BYTES

RETRY_S, FINISH_S = 0.5, 5.0


class LogCopy:
    """Follows the output of a container, from before it is started.

    The engine's own log, which holds as much, is slow to read: it is read where the engine was restarted meanwhile.
    """

    def __init__(self, engine: Engine, container: str, log: Path) -> None:
        self._engine, self._id, self._log = engine, container, log
        self._written = 0
        self._is_over, self._is_whole = threading.Event(), False
        stream = engine.client().attach(container, stdout=True, stderr=True, stream=True)
        self._thread = threading.Thread(target=self._follow, args=(stream,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Once the container has ended: the rest of its output."""
        self._is_over.set()
        self._thread.join(FINISH_S)
        if not self._thread.is_alive() and not self._is_whole:
            with suppress(*failures()):
                self._copy(self._engine.client().logs(self._id, stream=True))

    def _follow(self, stream: Iterable[bytes]) -> None:
        try:
            self._copy(stream)
            self._is_whole = self._has_ended()
        except failures():
            self._is_whole = False
        while not self._is_whole and not self._is_over.is_set():
            time.sleep(RETRY_S)
            with suppress(*failures()):
                self._copy(self._engine.client().logs(self._id, stream=True, follow=True))
                return

    def _has_ended(self) -> bool:
        """Whether the output ended because the container did, and not because the engine's service did."""
        return not self._engine.client().inspect_container(self._id)["State"]["Running"]

    def _copy(self, parts: Iterable[bytes]) -> None:
        """Writes what has not been written yet, and of a flood no more than is needed to see that it is too much."""
        position = 0
        with self._log.open("ab", buffering=0) as log:
            for part in parts:
                fresh = part[max(0, self._written - position) :]
                position += len(part)
                if fresh and self._written <= LOG_BYTES:
                    log.write(fresh)
                    self._written += len(fresh)
