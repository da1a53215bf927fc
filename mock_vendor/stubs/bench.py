"""Where the stubs' commands run for real, each in a process of its own, watched by a thread until it has ended."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mock_vendor.stubs.till import Clock
from seller.runners import JobOrder, JobState, Runner, RunnerError

POLL_S = 0.02
TIME_UP = "the paid time has ended"
OUTPUT_MAX = 1_000_000
"""Characters of output that a stub shows of a job."""


@dataclass(frozen=True)
class Task:
    """A command to run. seconds: of the stub's clock, at most. setup: a command to run before."""

    job_id: str
    command: str
    seconds: float
    setup: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


class Bench:
    """Runs tasks. `held` keeps new ones from starting for as long as it is set, as where no machine is free."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner, self._clock = runner, clock
        self.held = threading.Event()
        self._epoch = 0
        self._stops: dict[str, str] = {}
        self._threads: list[threading.Thread] = []

    def start(self, task: Task, on_start: Callable[[], bool], on_end: Callable[[JobState], None]) -> None:
        """Runs a task in the background.

        on_start: called when it is about to begin; False keeps it from that. on_end: called with how it ended, unless
        the stub was restarted before.
        """
        watch = threading.Thread(target=self._watch, args=(task, self._epoch, on_start, on_end), daemon=True)
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [watch]
        watch.start()

    def output(self, job_id: str) -> str:
        """All that a task has written so far, both streams together; "" before it has begun."""
        try:
            lines, _ = self._runner.logs(job_id, 0)
        except RunnerError:
            return ""
        return "".join(f"{line}\n" for line in lines)[-OUTPUT_MAX:]

    def file(self, job_id: str, path: str) -> str:
        """The text of one of a task's outputs, once it has ended; "" where there is none."""
        try:
            content = b"".join(self._runner.read(job_id, path))
        except RunnerError:
            return ""
        return content.decode(errors="replace")[-OUTPUT_MAX:]

    def stop(self, job_id: str, reason: str) -> None:
        """Ends a task soon, if it has begun."""
        self._stops[job_id] = reason

    def forget(self) -> None:
        """Ends all tasks without a word to anybody, as a restart does."""
        self._epoch += 1
        for thread in self._threads:
            thread.join()

    def _watch(self, task: Task, epoch: int, on_start: Callable[[], bool], on_end: Callable[[JobState], None]) -> None:
        while self.held.is_set() and epoch == self._epoch:
            time.sleep(POLL_S)
        if epoch != self._epoch or not on_start():
            return
        deadline = self._clock.now() + task.seconds
        try:
            self._start(task)
            while (state := self._runner.state(task.job_id)).phase != "ended":
                if reason := self._reason_to_end(task, epoch, deadline):
                    self._runner.stop(task.job_id, reason)
                time.sleep(POLL_S)
        except RunnerError as error:
            state = JobState("ended", None, str(error))
        if epoch == self._epoch:
            on_end(state)

    def _reason_to_end(self, task: Task, epoch: int, deadline: float) -> str:
        if epoch != self._epoch:
            return "the seller was restarted"
        return TIME_UP if self._clock.now() >= deadline else self._stops.get(task.job_id, "")

    def _start(self, task: Task) -> None:
        """Raises RunnerError."""
        with TemporaryDirectory(prefix="stub-files-") as folder:
            inputs = {path: Path(folder) / str(number) for number, path in enumerate(task.files)}
            for path, place in inputs.items():
                place.write_text(task.files[path])
            self._runner.start(
                JobOrder(
                    job_id=task.job_id,
                    command=task.command,
                    duration_s=task.seconds,
                    setup=task.setup,
                    env=task.env,
                    inputs=inputs,
                    outputs=task.outputs,
                )
            )
