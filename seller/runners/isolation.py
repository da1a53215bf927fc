"""What a supervisor needs of a way to run programs apart from the machine. The rest of its work is the same for all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

STOP_S = 2.0
"""Between the polite signal and the other."""
LOG_BYTES = 20_000_000


class Program(Protocol):
    """A program that runs."""

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after that time."""
        ...

    def processes(self) -> list[int]:
        """Its processes, by their numbers on this machine; none where they cannot be told."""
        ...

    def problem(self) -> str:
        """Which bound it has gone beyond, in words; "" for none."""
        ...

    def end(self) -> None:
        """Ends it and all that it has started: SIGTERM, and SIGKILL after STOP_S."""
        ...

    def result(self) -> tuple[int | None, str]:
        """The exit code of a program that has ended, None with a reason where another ended it. Nothing stays of it."""
        ...


class Isolation(Protocol):
    """Runs the programs of one job, one after another."""

    def prepare(self, reason_to_end: Callable[[], str]) -> str:
        """Gets ready what its programs need, before the paid time. The reason, where it was not to be had."""
        ...

    def launch(self, command: str | Sequence[str], secrets: Mapping[str, str]) -> Program:
        """Starts a program. Raises RunnerError or OSError, with nothing left of it."""
        ...


def program(command: str | Sequence[str]) -> list[str]:
    """The argv of a command: a text goes to the shell."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
