"""The container engine: any that answers Docker's API on a socket, such as Docker's own and Podman's."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Self, TypeAlias

from seller.runners.base import RunnerError
from seller.runners.job_folder import JobFolder

Api: TypeAlias = Any
"""docker.APIClient, which has no types."""
ANSWER_S = 20.0
UNIX = "unix://"
FOLDER_LABEL, JOB_LABEL = "gpuagent.jobs", "gpuagent.job"
MISSING = "jobs run in containers by the package docker, which is not here: pip install 'gpuagent[seller]'"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's address, and the version of the API that it speaks: to ask for that costs more than to run a job."""

    url: str
    version: str

    @classmethod
    def at(cls, url: str) -> Self:
        """The engine that answers there. Raises RunnerError."""
        require_library()
        try:
            _knock(url)
            with _client(url, "auto", ANSWER_S) as api:
                return cls(url, str(api.api_version))
        except failures() as error:
            raise RunnerError(
                f"no container engine answers at {url}: start it, as with `systemctl start podman.socket` "
                f"or `podman system service --time=0 {url}` ({str(error)[:300]})"
            ) from error

    def client(self, answer_s: float | None = ANSWER_S) -> Api:
        """A client of its own, for one thread."""
        return _client(self.url, self.version, answer_s)


def _client(url: str, version: str, answer_s: float | None) -> Api:
    import docker  # of the extra `seller`

    return docker.APIClient(base_url=url, version=version, timeout=answer_s)


def _knock(url: str) -> None:
    """Raises OSError where nobody listens on a socket file: the library would leave a socket open."""
    if url.startswith(UNIX):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(ANSWER_S)
            knock.connect(url.removeprefix(UNIX))


def require_library() -> None:
    """Raises RunnerError where the package is missing."""
    if not find_spec("docker"):
        raise RunnerError(MISSING)


def failures() -> tuple[type[Exception], ...]:
    """What a call of the engine raises: it refuses, or does not answer."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return RunnerError, OSError, DockerException, RequestException


def labels(folder: JobFolder) -> dict[str, str]:
    return {FOLDER_LABEL: str(folder.path.parent), JOB_LABEL: folder.path.name}


def leftovers(api: Api, folder: str, job: str = "") -> list[tuple[str, str]]:
    """Id and job of each container of a runner's folder, those that have ended among them."""
    filters = {"label": [f"{FOLDER_LABEL}={folder}", *([f"{JOB_LABEL}={job}"] if job else [])]}
    containers = [(entry["Id"], entry.get("Labels") or {}) for entry in api.containers(all=True, filters=filters)]
    return [
        (container, names.get(JOB_LABEL, ""))
        for container, names in containers
        if names.get(FOLDER_LABEL) == folder and job in ("", names.get(JOB_LABEL))
    ]


def remove(api: Api, container: str) -> None:
    """Kills a container and removes it with its volumes, where it is still there."""
    from docker.errors import NotFound

    with suppress(NotFound):
        api.remove_container(container, v=True, force=True)
