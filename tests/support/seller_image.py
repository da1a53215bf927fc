"""The image of deploy/seller/Containerfile, really built: on a Debian with Python that mmdebstrap makes once.

`make test` builds it ahead of the tests: what takes time are the base and the layer of the dependencies, which podman
keeps. Where images can be pulled: podman tag docker.io/library/python:3.12-slim localhost/gpuagent-python
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.podman import podman

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy/seller/Containerfile"
BASE, IMAGE = "localhost/gpuagent-python", "localhost/gpuagent-seller-test"
PACKAGES = "python3,python3-venv,ca-certificates"
BUILD_S = 400.0
OF_PIP = (Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt"))
"""How pip reaches its index on this machine. Mounted while the image is built, and no part of it."""


@cache
def built() -> str:
    """The image's name, built of this tree. One process builds at a time; the others find its layers."""
    with exclusive():
        before = _id(IMAGE)
        mounts = [f"--volume={path}:{path}:ro" for path in OF_PIP if path.exists()]
        index = [f"--build-arg=PIP_INDEX_URL={os.environ['PIP_INDEX_URL']}"] if os.environ.get("PIP_INDEX_URL") else []
        options = ["--network=host", "--layers", f"--build-arg=BASE={base()}", f"--tag={IMAGE}", *mounts, *index]
        podman("build", "--quiet", *options, f"--file={CONTAINERFILE}", ROOT, timeout=BUILD_S)
        if before and before != _id(IMAGE):
            podman("rmi", "--force", before)  # half a gigabyte, that no name is left for
    return IMAGE


def base() -> str:
    """The base image's name: made, where it is not here."""
    if not _id(BASE):
        _make_base()
    return BASE


@contextmanager
def exclusive() -> Iterator[None]:
    """The block of one process at a time on this machine."""
    with CONTAINERFILE.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _id(image: str) -> str:
    """The image's id; "" where there is none."""
    return podman("images", "--quiet", "--no-trunc", "--filter", f"reference={image}")


def _make_base() -> None:
    assert shutil.which("mmdebstrap"), f"there is no image {BASE}, and nothing to make it: apt-get install mmdebstrap"
    small = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
    release = _release()
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *small, release, "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as debian:
        assert debian.stdout is not None
        assert debian.stderr is not None
        try:
            podman("import", "--quiet", "-", BASE, stdin=debian.stdout.fileno(), timeout=BUILD_S)
        finally:
            debian.stdout.close()
            words = debian.stderr.read().decode(errors="replace")
    assert debian.returncode == 0, f"mmdebstrap {release}: {words[-1_000:]}"


def _release() -> str:
    """This Debian's name; the base is of the same. On another system Debian's newest."""
    lines = Path("/etc/os-release").read_text().splitlines()
    facts = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return facts.get("VERSION_CODENAME", "stable") if facts.get("ID") == "debian" else "stable"


if __name__ == "__main__":
    print(built())
