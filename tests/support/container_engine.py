"""A Podman of the tests' own: its socket, store and one image, of a static busybox alone, end with it."""

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seller.runners.base import RunnerError
from seller.runners.engine import Api, Engine, remove
from tests.support.eventually import eventually

START_S, END_S = 240.0, 240
API = "1.41"
IMAGE = "localhost/busybox:latest"
INSTALL = "containers are tested with podman: apt-get install podman runc busybox-static (make does it for root)"
TRAPS = ["VOLUME /data", 'ENTRYPOINT ["/bin/echo", "the image\'s own"]', "USER root", "WORKDIR /etc", "ENV FROM=image"]
"""What an image may say for itself: a place to write, a program that comes first, a user."""
APPLETS = """
    sh ash ls cat echo id ps kill sleep env grep head tail tr cut dd wc mkdir ln mkfifo mknod nc wget chmod touch setsid
    nohup yes seq printf sed test true false rm mv df mount ip cp find nice sort stat date mkdir od su trap truncate
    usleep pwd env
"""
CONTAINERS_CONF = """
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
lock_type = "file"
tmp_dir = "{folder}/tmp"
events_logger = "none"
"""
STORAGE_CONF = """
[storage]
driver = "vfs"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


@dataclass
class OwnEngine:
    """A podman service. url: of its socket. digest: of the image."""

    folder: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/engine.sock"

    @contextmanager
    def client(self) -> Iterator[Api]:
        with Engine(self.url, API).client() as api:
            yield api

    @property
    def digest(self) -> str:
        with self.client() as api:
            digests: list[str] = api.inspect_image(IMAGE)["RepoDigests"]
        return digests[0].partition("@")[2]

    def start(self) -> None:
        argv = ["podman", "system", "service", "--time=0", self.url]
        self._process = subprocess.Popen(
            # Where a container runs out of memory, its monitor leaves a file here.
            argv,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, START_S)

    def kill(self) -> None:
        """As kill -9 does: containers live on."""
        assert self._process
        self._process.kill()
        self._process.wait(END_S)

    def podman(self, *arguments: str) -> str:
        """The output of a command, as the operator of the machine gives it."""
        job = subprocess.run(
            ["podman", *arguments], env=self.environment, capture_output=True, text=True, timeout=END_S, check=True
        )
        return job.stdout

    @property
    def containers(self) -> list[str]:
        with self.client() as api:
            return [entry["Id"] for entry in api.containers(all=True)]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
        }

    def _answers(self) -> bool:
        try:
            Engine.at(self.url)
        except RunnerError:
            return False
        return True


@contextmanager
def running_engine() -> Iterator[OwnEngine]:
    missing = [name for name in ("podman", "runc", "busybox") if not shutil.which(name)]
    if missing:
        pytest.fail(f"{', '.join(missing)} not on PATH: {INSTALL}")
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as path:
        folder = Path(path)
        (folder / "containers.conf").write_text(CONTAINERS_CONF.format(folder=folder))
        (folder / "storage.conf").write_text(STORAGE_CONF.format(folder=folder))
        engine = OwnEngine(folder)
        engine.start()
        try:
            with engine.client() as api:
                api.import_image_from_data(_root(), repository=IMAGE.partition(":")[0], tag="latest", changes=TRAPS)
            yield engine
        finally:
            with engine.client() as api:
                for container in engine.containers:
                    remove(api, container)
            engine.kill()


def _root() -> bytes:
    """A root file system: busybox by the names of its applets, and the folders that a program looks for."""
    busybox = Path(shutil.which("busybox") or "").read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("tmp", 0o1777), ("data", 0o1777), ("job", 0o755), ("resume", 0o755), ("etc", 0o755)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = len(busybox), 0o755
        tar.addfile(program, io.BytesIO(busybox))
        for name in dict.fromkeys(APPLETS.split()):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()
