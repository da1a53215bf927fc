"""A job's program as a process of this machine: in bubblewrap, or with the seller's own rights."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from seller.runners import cgroup
from seller.runners.base import Limits, RunnerError
from seller.runners.isolation import STOP_S, program
from seller.runners.job_folder import JobFolder
from seller.runners.processes import descendants, resident_bytes
from seller.runners.sandbox import RESUME, WORK, environment, sandboxed, sealed

NICENESS = 5
"""The seller itself comes first."""
KILLED = "it was killed from outside, or the machine was out of memory"


class ProcessIsolation:
    """Runs the programs of a job as processes. order: as order.json has it."""

    def __init__(self, folder: JobFolder, order: Mapping[str, Any], limits: Limits) -> None:
        self._folder, self._order, self._limits = folder, order, limits
        self._inside = bool(order["sandbox"])
        self._network = bool(order.get("network"))  # orders of before there was a choice have none

    def prepare(self, reason_to_end: Callable[[], str]) -> str:  # noqa: ARG002 - there is nothing to wait for
        return ""

    def launch(self, command: str | Sequence[str], secrets: Mapping[str, str]) -> "ProcessProgram":
        resume = self._folder.resume if self._folder.resume.is_dir() else None
        own = str(self._folder.work), str(resume or "")
        work, resume_path = (WORK, RESUME if resume else "") if self._inside else own
        env = environment(self._order["env"], secrets, work, resume_path)
        group = cgroup.make(cgroup.name_of(self._folder.path), self._limits)

        def enter() -> None:
            os.nice(NICENESS)
            group.enter()

        options: dict[str, Any] = {"cwd": self._folder.work, "start_new_session": True, "preexec_fn": enter}
        try:
            with self._folder.log.open("ab", buffering=0) as log:
                options |= {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                if not self._inside:
                    return ProcessProgram(subprocess.Popen(program(command), env=env, **options), group, self._limits)
                with sealed(self._folder.work, resume, env, network=self._network) as arguments:
                    process = subprocess.Popen(
                        sandboxed(program(command), arguments),
                        env={"PATH": os.environ.get("PATH", os.defpath)},
                        pass_fds=[arguments],
                        **options,
                    )
                return ProcessProgram(process, group, self._limits, sandbox=True)
        except (OSError, subprocess.SubprocessError) as error:
            group.remove()
            raise RunnerError(str(error)) from error


class ProcessProgram:
    """A process with all that it has started. sandbox: the process is bubblewrap, which the job's own is a child of."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", group: cgroup.Cgroup, limits: Limits, sandbox: bool = False
    ) -> None:
        self._process, self._group, self._limits, self._sandbox = process, group, limits, sandbox

    def wait(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def processes(self) -> list[int]:
        return [self._process.pid, *descendants(self._process.pid)]

    def problem(self) -> str:
        memory, pids = self._limits.memory, self._limits.pids
        if self._group.memory_kills() or (
            memory and not self._group.bounds("memory") and resident_bytes(self.processes()) > memory
        ):
            return f"it used more than its memory ({memory / 10**6:.0f} MB)"
        if pids and not self._group.bounds("pids") and len(self.processes()) > pids:
            return f"it ran more than {pids} processes"
        return ""

    def end(self) -> None:
        """The signal goes to the job's own processes: bubblewrap would die of it at once, and they with it."""
        targets = descendants(self._process.pid)[1:] if self._sandbox else []
        for target in targets:
            with suppress(ProcessLookupError):
                os.kill(target, signal.SIGTERM)
        if not targets:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
        give_up = time.monotonic() + STOP_S
        if not self.wait(max(0.0, give_up - time.monotonic())):
            self._kill()

    def result(self) -> tuple[int | None, str]:
        code, problem = self._process.wait(), self.problem()
        self._kill()
        self._group.remove()
        if problem:
            return None, problem
        if code < 0 and self._sandbox:
            return None, KILLED
        return (128 - code if code < 0 else code), ""

    def _kill(self) -> None:
        """All that is in its session: in a sandbox, the PID namespace dies with bubblewrap."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
