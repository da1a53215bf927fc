"""A Dask scheduler and its workers in processes of this machine, each of which can be killed by itself."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Self

from distributed import Client

from tests.support.eventually import eventually

READY_S = 90


class DaskMachine:
    """Runs until the block ends. environment: of the workers, in which they find their agent."""

    def __init__(self, environment: Mapping[str, str], workers: int, folder: Any) -> None:
        self._environment = dict(environment)
        self._address_file = folder / "scheduler.json"
        options = {"host": "127.0.0.1", "dashboard": False, "scheduler_file": str(self._address_file)}
        self.scheduler = self._start("--spec", json.dumps({"cls": "distributed.Scheduler", "opts": options}))
        self.address = str(eventually(self._address, READY_S)["address"])
        worker = json.dumps({"cls": "distributed.Worker", "opts": {"nthreads": 1, "dashboard": False}})
        self.workers = [self._start(self.address, "--spec", worker) for _ in range(workers)]
        with Client(self.address, timeout=READY_S, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=READY_S)  # a fleet waits ten seconds for one, not for its start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "dask", "spec", *arguments]
        return subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)

    def _address(self) -> Any:
        try:
            return json.loads(self._address_file.read_text())
        except (FileNotFoundError, ValueError):  # not there yet, or not whole
            return None
