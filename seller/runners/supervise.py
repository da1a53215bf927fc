"""The process beside each job: `python -m seller.runners.supervise LIFELINE JOB_FOLDER`, secrets on standard input.

It inherits the job's lock and so holds it for as long as it lives, and leaves `ended.json` behind. So a seller that
comes back knows by the lock whether the job still runs, and a job whose supervisor was killed is not started anew.
It outlives the seller, unless LIFELINE is the number of a pipe that the seller holds open: then the job ends with it.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seller.runners.base import Limits, RunnerError
from seller.runners.isolation import LOG_BYTES, Isolation, Program
from seller.runners.job_folder import JobFolder
from seller.runners.keeper import CheckpointKeeper
from seller.runners.process_program import ProcessIsolation
from seller.runners.reading import open_inside
from seller.runners.tree import unlinked_bytes, usage

POLL_S = 0.05
LOOK_S = 1.0
"""Between two looks at the size of a job's folder."""
LOOKS_SHARE = 10
"""Of the time at most a tenth goes into looking, however many files there are."""
MEGABYTE = 10**6
SECRETS_LOST = "the seller was killed before it had handed over the values of its secrets: it never ran"


class Supervision:
    """One job, from its preparation to its end. order: as order.json has it. lifeline: once closed, it ends.

    clock: of paid time, in seconds; one that is never set, since a buyer has paid for hours and not until an hour.
    """

    def __init__(
        self,
        folder: JobFolder,
        order: Mapping[str, Any],
        lifeline: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._order, self._lifeline, self._clock = folder, order, lifeline, clock
        self._limits = Limits(**order.get("limits", {}))
        self._keeper = CheckpointKeeper(folder, order["checkpoint"], self._limits.disk)
        self._next_look = 0.0

    def run(self, secrets: Mapping[str, str]) -> tuple[int | None, str]:
        """Exit code, and why it was ended, where the program did not end by itself."""
        try:
            exit_code, reason = self._run(secrets)
        except (OSError, ValueError, RunnerError) as error:
            exit_code, reason = None, f"it could not be started: {error}"
        self._keeper.keep(final=True)
        return exit_code, reason

    def _run(self, secrets: Mapping[str, str]) -> tuple[int | None, str]:
        isolation = open_isolation(self._folder, self._order, self._limits)
        if reason := isolation.prepare(self._wish):
            return None, reason
        deadline = self._clock() + self._order["durationS"]
        if self._order["setup"]:
            exit_code, reason = self._watch(isolation.launch(self._order["setup"], secrets), deadline)
            if reason or exit_code:
                return None, reason or f"setup ended with exit code {exit_code}"
        program = isolation.launch(self._order["command"], secrets)
        self._folder.enter("running")
        exit_code, reason = self._watch(program, deadline)
        if not reason and (reason := self._outputs_problem()):
            return None, reason
        return exit_code, reason

    def _watch(self, program: Program, deadline: float) -> tuple[int | None, str]:
        reason = "its supervisor failed"
        try:
            reason = self._wait(program, deadline)
        finally:
            if reason:
                program.end()
            exit_code, problem = program.result()
        reason = reason or problem
        return (None if reason else exit_code), reason

    def _wait(self, program: Program, deadline: float) -> str:
        """Why it is to be ended; "" once it has ended by itself."""
        while not program.wait(POLL_S):
            self._keeper.keep()
            if reason := self._wish() or self._bound(program, deadline):
                return reason
        return ""

    def _wish(self) -> str:
        """Why the seller wants it to end, in words."""
        if self._lifeline is not None and select.select([self._lifeline], [], [], 0)[0]:
            return "the seller has ended, and its jobs with it"
        if self._folder.stop.exists():
            return self._folder.stop.read_text() or "stopped"
        return ""

    def _bound(self, program: Program, deadline: float) -> str:
        """Which bound the job has reached, in words."""
        if self._clock() >= deadline:
            return "the paid time has ended"
        if self._folder.log.stat().st_size > LOG_BYTES:
            return f"it wrote more than {LOG_BYTES // MEGABYTE} MB of log"
        return program.problem() or self._disk_problem(program)

    def _disk_problem(self, program: Program) -> str:
        begin = time.monotonic()
        if begin < self._next_look:
            return ""
        try:
            size, entries = usage(self._folder.work, self._limits.files)
        except RunnerError as error:
            return str(error)
        size += unlinked_bytes(program.processes(), self._folder.work)
        self._next_look = time.monotonic() + max(LOOK_S, LOOKS_SHARE * (time.monotonic() - begin))
        if 0 < self._limits.files < entries:
            return f"it made more than {self._limits.files} files"
        if 0 < self._limits.disk < size:
            return f"it used more than {self._limits.disk / MEGABYTE:.0f} MB of disk"
        return ""

    def _outputs_problem(self) -> str:
        total = 0
        for path in dict.fromkeys(self._order["outputs"]):
            try:
                with open_inside(self._folder.work, path) as file:
                    total += os.fstat(file.fileno()).st_size
            except (OSError, RunnerError):
                continue  # it is not among the files that are delivered
        if 0 < self._limits.outputs < total:
            return (
                f"its outputs are {total // MEGABYTE} MB, and this seller delivers {self._limits.outputs // MEGABYTE}"
            )
        return ""


def open_isolation(folder: JobFolder, order: Mapping[str, Any], limits: Limits) -> Isolation:
    if "engine" in order:
        from seller.runners.container_isolation import ContainerIsolation  # the engine's library takes its time

        return ContainerIsolation(folder, order, limits)
    return ProcessIsolation(folder, order, limits)


def main(folder: JobFolder, lifeline: int | None) -> None:
    order, content = json.loads(folder.order.read_text()), sys.stdin.buffer.read()
    try:
        secrets = json.loads(content or b"{}")
    except ValueError:
        secrets = {}
    if set(order.get("secrets", ())) - set(secrets):
        folder.end(None, SECRETS_LOST)
        return
    folder.end(*Supervision(folder, order, lifeline).run(secrets))


if __name__ == "__main__":
    number = int(sys.argv[1])
    main(JobFolder(Path(sys.argv[2])), None if number < 0 else number)
