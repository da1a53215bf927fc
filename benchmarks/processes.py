"""The processes that a lifecycle keeps busy, by what they are, and the processor time that each has used."""

import os
import platform
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient

PACKAGES = ("pymongo", "httpx", "httpcore", "web3", "eth-account", "x402", "pydantic")


@dataclass(frozen=True)
class Processes:
    """agent: this process, in which the floor plays too. The others by their place among its children."""

    agent: psutil.Process
    mongod: psutil.Process
    vendor: psutil.Process
    anvil: psutil.Process

    def cpu_ms(self) -> dict[str, float]:
        """Milliseconds of processor time that each has used since it began."""
        return {name: _cpu_ms(process) for name, process in vars(self).items()}


def processes(mongodb_uri: str) -> Processes:
    """Those of the practice stack that this process has started."""
    own = psutil.Process()
    children = own.children(recursive=True)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        mongod = psutil.Process(client.admin.command("serverStatus")["pid"])
    anvil = next(child for child in children if child.name() == "anvil")
    vendor = next(child for child in children if "mock_vendor" in child.cmdline())
    return Processes(own, mongod, vendor, anvil)


def _cpu_ms(process: psutil.Process) -> float:
    if sys.platform == "linux":
        # The clock of the process itself (clock_getcpuclockid(3)): psutil's figures are in steps of 10 ms.
        return time.clock_gettime((~process.pid << 3) | 2) * 1000
    used = process.cpu_times()
    return float(used.user + used.system) * 1000


@cache
def machine() -> dict[str, str]:
    """The machine and the versions that figures are of."""
    cpus = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in _lines(cpus) if line.startswith("model name")]
    return {
        "processors": f"{os.cpu_count()} x {models[0] if models else platform.processor() or platform.machine()}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
