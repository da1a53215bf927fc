"""What a message beside buttons is about: a run at one version, after which it is not true any more."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from gpuagent.core.model import Run
from gpuagent.errors import GpuAgentError

T = TypeVar("T")


class Subject:
    """The run and version that the last message is about. load: reads a run by its id. Safe between threads."""

    def __init__(self, load: Callable[[str], Run]) -> None:
        self._load = load
        self._run_id, self._version = "", 0

    def become(self, run: Run) -> None:
        self._run_id, self._version = run.run_id, run.version

    def follow(self, run_id: str) -> None:
        """The run as it is stored now. Blocks. One that cannot be read changes nothing: the work's error says more."""
        with suppress(GpuAgentError):
            self.become(self._load(run_id))

    def followed(self, run_id: str, work: Callable[[], T]) -> Callable[[], T]:
        """The work, after which the subject is the run as that left it, whether or not it failed."""

        def run_and_follow() -> T:
            try:
                return work()
            finally:
                self.follow(run_id)

        return run_and_follow

    def is_outdated(self, run: Mapping[str, Any] | None) -> bool:
        """Whether the open run is another, or has moved on since. run: its document, None where none is open."""
        return run is None or str(run["_id"]) != self._run_id or run.get("version", 0) > self._version
