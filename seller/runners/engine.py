"""The container engine: any that answers Docker's API on a socket, such as Docker's own and Podman's."""

import socket
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Self, TypeAlias

from seller.runners.base import RunnerError
from seller.runners.job_folder import JobFolder

Api: TypeAlias = Any
"""docker.APIClient, which has no types."""
ANSWER_S, RETRY_S = 20.0, 0.2
UNIX = "unix://"
OLDEST, NEWEST = "1.41", "1.51"
"""Versions of the API: the one that is spoken to ask for the engine's, and the last that this has been written for."""
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
            with _client(url, OLDEST, ANSWER_S) as api:
                answer = api.get(f"{api.base_url}/_ping", timeout=ANSWER_S)
                return cls(url, min(answer.headers.get("Api-Version", OLDEST), NEWEST, key=_number))
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


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


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


def is_here(api: Api, image: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        api.inspect_image(image)
    except ImageNotFound:
        return False
    return True


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


def remove(api: Api, container: str, patience_s: float = ANSWER_S) -> None:
    """Kills a container and removes it with its volumes; it is gone when this returns.

    Raises one of failures() where the engine has not done it after patience_s: it may be being restarted, or another
    may be removing it.
    """
    from docker.errors import NotFound

    give_up = time.monotonic() + patience_s
    while True:
        try:
            api.remove_container(container, v=True, force=True)
        except NotFound:
            return
        except failures():
            if time.monotonic() > give_up:
                raise
            time.sleep(RETRY_S)
