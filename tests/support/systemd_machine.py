"""A machine with a systemd of its own, in a container: booted in two seconds, to start a unit for real.

The container is privileged, as systemd must mount what it gives to its units; what runs in a unit is confined by that.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.podman import podman
from tests.support.seller_image import base, exclusive

IMAGE = "localhost/gpuagent-systemd-test"
CONTAINERFILE = Path(__file__).with_name("systemd.Containerfile")
BUILD_S = 300.0


def systemd_image() -> str:
    """The image's name. It is built once, and kept by podman."""
    with exclusive():
        options = ["--quiet", "--network=host", "--layers", f"--build-arg=BASE={base()}", f"--tag={IMAGE}"]
        podman("build", *options, f"--file={CONTAINERFILE}", CONTAINERFILE.parent, timeout=BUILD_S)
    return IMAGE


class SystemdMachine:
    """What an administrator does on it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def is_up(self) -> bool:
        return self.run("sh", "-c", "systemctl is-system-running || true") in ("running", "degraded")

    def run(self, *command: str) -> str:
        return podman("exec", self._name, *command)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """A file of root's, with its folders."""
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1" && chmod "$3" "$1"'
        self.run("sh", "-c", script, "sh", path, text, mode)

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", "--no-pager", *arguments)

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")


@contextmanager
def booted(*options: str) -> Iterator[SystemdMachine]:
    """A machine that is up. options: podman's, such as --volume."""
    image, name = systemd_image(), f"gpuagent-systemd-{secrets.token_hex(4)}"
    podman("run", "--detach", f"--name={name}", "--privileged", "--systemd=always", "--network=none", *options, image)
    try:
        machine = SystemdMachine(name)
        eventually(
            lambda: podman("exec", name, "sh", "-c", "systemctl is-system-running || true") in ("running", "degraded")
        )
        yield machine
    finally:
        podman("rm", "--force", "--time=0", name)


if __name__ == "__main__":
    print(systemd_image())
