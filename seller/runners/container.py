"""The container runner: each job in containers of its own, by any engine that answers Docker's API."""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from seller.runners import images
from seller.runners.base import JobOrder, Limits, RunnerError
from seller.runners.engine import Engine, failures, is_here, leftovers, remove
from seller.runners.job_folder import JobFolder
from seller.runners.local import LocalRunner

ENGINE = "unix:///run/podman/podman.sock"
NO_NETWORK = "none"
LOOK_S = 5.0
"""How long the engine may take to say whether an image is there, while a buyer waits."""
JOB_USER = 65534
"""The user of a job whose seller is root: nobody's."""
NO_LIMIT = "a job may use all the machine's {0}: set runner.{0}"
DISK = "the disk of a job's folder is looked at once a second, not bounded by the kernel: leave room for that much"
NETWORK = "jobs reach the network {0!r} of the engine, and all that can be reached from there"
logger = logging.getLogger(__name__)


class ContainerRunner(LocalRunner):
    """The Runner in containers. images: patterns of names of images that are run, and names with digests.

    network: none, or the name of a network of the engine. gpus: how the engine hands them out: by a device request
    (nvidia: Docker) or by the Container Device Interface (cdi: Docker 25, Podman 5). pull_s: of a pull, at most.
    Raises RunnerError where the engine does not answer or lacks the network.
    """

    def __init__(
        self,
        folder: Path,
        engine: str = ENGINE,
        images: Sequence[str] = (),
        network: str = NO_NETWORK,
        gpus: Literal["none", "nvidia", "cdi"] = "none",
        limits: Limits | None = None,
        outlive: bool = True,
        pull_s: float = 600.0,
    ) -> None:
        super().__init__(folder.absolute(), outlive, limits or Limits())
        self._images, self._network, self._gpus, self._pull_s = images, network, gpus, pull_s
        self._engine = Engine.at(engine)
        if network == "host" or network.startswith(("container:", "ns:")):
            raise RunnerError(f"runner.network is {network}: jobs would reach the seller's own ports; take none")
        if network != NO_NETWORK:
            with self._engine.client() as api:
                names = {entry["Name"] for entry in api.networks()}
            if network not in names:
                raise RunnerError(f"the engine at {engine} has no network {network!r}: create it, or take none")
        self._sweep()

    @property
    def notices(self) -> tuple[str, ...]:
        unbounded = [name for name in ("memory", "cpus", "pids") if not getattr(self._limits, name)]
        return (
            *([] if self._images else [images.refusal("docker.io/library/any", ())]),
            *(NO_LIMIT.format(name) for name in unbounded),
            *([NETWORK.format(self._network)] if self._network != NO_NETWORK else []),
            DISK,
        )

    def refusal(self, image: str) -> str:
        return images.refusal(image, self._images)

    def absence(self, image: str) -> str:
        name = images.full_name(image)
        if not name.startswith(images.LOCAL):  # one of a registry is pulled when it is needed
            return ""
        try:
            with self._engine.client(LOOK_S) as api:
                return "" if is_here(api, name) else f"the image {name} is not on this seller's machine"
        except failures() as error:
            return f"this seller's engine does not say whether it has the image {name} ({str(error)[:200]})"

    def _isolation(self, order: JobOrder) -> dict[str, Any]:
        return {
            "engine": asdict(self._engine),
            "image": images.full_name(order.image),
            "network": self._network,
            "gpuKind": self._gpus,
            "pullS": self._pull_s,
            "user": list(_job_user()),
        }

    def _hand_over(self, folder: JobFolder) -> None:
        """The job's user is another than the seller's where that is root, and may change what has been laid out."""
        for path in (folder.work, folder.resume):
            for parent, folders, files in os.walk(path):
                for name in ("", *folders, *files):
                    os.chown(Path(parent, name), *_job_user())

    def _clear(self, folder: JobFolder) -> None:
        try:
            with self._engine.client() as api:
                for container, _ in leftovers(api, str(self._folder), folder.path.name):
                    remove(api, container)
        except failures() as error:  # its next start does it
            logger.warning("containers of %s may be left behind: %s", folder.path.name, error)

    def _sweep(self) -> None:
        """Removes what belongs to no job that runs: its supervisor was killed, and could not."""
        try:
            with self._engine.client() as api:
                for container, job in leftovers(api, str(self._folder)):
                    if not job or not JobFolder(self._folder / job).is_held():
                        remove(api, container)
        except failures() as error:
            raise RunnerError(f"containers that earlier jobs left behind cannot be removed: {error}") from error


def _job_user() -> tuple[int, int]:
    return (JOB_USER, JOB_USER) if os.getuid() == 0 else (os.getuid(), os.getgid())
