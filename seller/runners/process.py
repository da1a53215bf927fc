"""The process runner: each job is a process in a folder of its own, in bubblewrap unless the seller says otherwise."""

import os
from pathlib import Path
from typing import Any

from seller.runners import cgroup
from seller.runners.base import JobOrder, Limits
from seller.runners.job_folder import JobFolder
from seller.runners.local import LocalRunner
from seller.runners.sandbox import require_sandbox

NO_IMAGES = "this seller runs jobs in its own environment, and no images: leave the image out, or buy elsewhere"
UNCONTAINED = (
    "bubblewrap contains neither the speed of disk and memory nor calls of the kernel (there is no seccomp filter): "
    "for payers you do not know take runner.kind: container, or a machine of its own"
)
BARE = "jobs run with all the rights of this user, without a sandbox: they can read its key"
WATCHED = (
    "no control group can be made here, so that a job's {0} are looked at 20 times a second instead of bounded by the "
    "kernel: start the seller as root, or as a service with Delegate=yes and DelegateSubgroup=seller"
)


class ProcessRunner(LocalRunner):
    """The Runner on this machine. sandbox: False runs jobs with the seller's own rights, for payers it trusts alone.

    network: whether a job in a sandbox has this machine's network; without a sandbox it has in any case.
    """

    def __init__(
        self,
        folder: Path,
        sandbox: bool = True,
        outlive: bool = True,
        limits: Limits | None = None,
        *,
        network: bool = False,
    ) -> None:
        if sandbox:
            require_sandbox()
        super().__init__(folder, outlive, limits or Limits())
        self._sandbox, self._network = sandbox, network

    @property
    def notices(self) -> tuple[str, ...]:
        trial = cgroup.make(f"trial-{os.getpid()}", Limits(memory=2**30, pids=64))
        missing = [words for name, words in (("memory", "memory"), ("pids", "processes")) if not trial.bounds(name)]
        trial.remove()
        watched = [WATCHED.format(" and ".join(missing))] if missing else []
        return (UNCONTAINED if self._sandbox else BARE, *watched)

    def refusal(self, image: str) -> str:
        return NO_IMAGES if image else ""

    def _isolation(self, order: JobOrder) -> dict[str, Any]:  # noqa: ARG002 - all jobs alike
        return {"sandbox": self._sandbox, "network": self._network}

    def _hand_over(self, folder: JobFolder) -> None:
        """In bubblewrap the job's user is the seller's own, and so may change what that has laid out."""
        folder.work.chmod(0o777 if self._sandbox else 0o700)

    def _clear(self, folder: JobFolder) -> None:
        """The processes have died with their supervisor, or by their session; their control group has not."""
        cgroup.of(cgroup.name_of(folder.path)).remove()
