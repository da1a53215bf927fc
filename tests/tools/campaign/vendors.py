"""The vendors of a campaign, in processes that are killed and started again; their chain is beside and lives on."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mock_vendor.market import open_market
from mock_vendor.settings import read_settings
from seller.runners.job_folder import JobFolder
from tests.support.stub_market import variables

READY_S, JOBS_END_S = 240, 60
SECRET = "a-campaign-of-its-own"
VENDORS = "4"
JOBS, LATER_JOBS = "vendors/jobs", "later/stubs-*/*"
"""Where jobs have their folders, below that of the campaign."""
ROOT = Path(__file__).parents[3]


class VendorProcess:
    """`python -m MODULE` on one port, with a folder of jobs. ready: what its first start said of itself.

    jobs: a pattern of its jobs' folders, below the folder.
    """

    def __init__(self, folder: Path, environment: dict[str, str], module: str, jobs: str, *flags: str) -> None:
        self._folder, self._environment, self._jobs = folder, environment, jobs
        self._command = [sys.executable, "-m", module, *flags]
        self._log_file = folder / f"{module}.log"
        self._log = self._log_file.open("a")
        self._process = self._start("0")
        self.is_up = False
        self.ready: dict[str, Any] = {}
        self.wait()

    @property
    def running(self) -> int:
        """How many of its jobs run."""
        return sum(JobFolder(path).is_held() for path in self._folder.glob(self._jobs))

    def kill(self) -> None:
        self._process.kill()
        self._reap()
        self.is_up = False

    def start(self) -> None:
        """Start it again where it was: it is up once poll() says so."""
        self._process = self._start(self.ready["url"].rpartition(":")[2])

    def poll(self, wait_s: float = 0) -> bool:
        """Whether it has become ready since it was started."""
        assert self._process.stdout
        if self.is_up or not select.select([self._process.stdout], [], [], wait_s)[0]:
            return False
        line = self._process.stdout.readline()
        assert line, f"the vendors did not start: {self._log_file.read_text()[-2000:]}"
        self.ready = self.ready or json.loads(line)
        self.is_up = True
        return True

    def wait(self) -> None:
        assert self.poll(READY_S), f"the vendors gave no sign in {READY_S} s"

    def close(self) -> None:
        """Ends the vendors, and waits for the jobs that they have left."""
        if self._process.poll() is None:
            self._process.terminate()
        self._reap()
        self._log.close()
        ends_at = time.monotonic() + JOBS_END_S
        while self.running and time.monotonic() < ends_at:
            time.sleep(0.05)

    def _reap(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def _start(self, port: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**self._environment, "PORT": port},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )


@contextmanager
def vendors(folder: Path) -> Iterator[VendorProcess]:
    """The vendors on a chain of their own, with jobs that outlive them. Both end with the block."""
    folder.mkdir(exist_ok=True)
    with open_market(read_settings({"MOCK_VENDORS": VENDORS})) as practice:
        market = practice.market
        assert market.facilitator
        chain = {
            "CHAIN_RPC_URL": market.rpc_url,
            "X402_NETWORK": market.network,
            "X402_ASSET": market.asset,
            "X402_ASSET_NAME": market.asset_name,
            "X402_ASSET_VERSION": market.asset_version,
            "FACILITATOR_PRIVATE_KEY": market.facilitator.private_key,
            "MOCK_PAY_TO": ",".join(practice.payees),
        }
        own = {
            "GPU_VENDOR_SECRET": SECRET,
            "MOCK_DATA_DIR": str(folder / "vendors"),
            "MOCK_KEEP_JOBS": "1",
            "MOCK_SANDBOX": "required",
            "MOCK_SLOW_S": "60",
            "MOCK_SPEED": "40",
            "MOCK_VENDORS": VENDORS,
        }
        process = VendorProcess(folder, _basics() | chain | own, "mock_vendor", f"{JOBS}/*", "--until-stdin-closes")
        try:
            yield process
        finally:
            process.close()


@contextmanager
def later_vendors(folder: Path, process: VendorProcess) -> Iterator[VendorProcess]:
    """The stubs, of which Prism is paid after the work, on the vendors' chain. Their jobs die with them."""
    (folder / "later").mkdir()
    own = {"TMPDIR": str(folder / "later"), "GPU_VENDOR_SECRET": SECRET}
    stubs = VendorProcess(folder, _basics() | variables(process.ready) | own, "mock_vendor.stubs", LATER_JOBS)
    try:
        yield stubs
    finally:
        stubs.close()


def environment(process: VendorProcess, stubs: VendorProcess, mongodb_uri: str) -> dict[str, str]:
    """The variables that point the agent at the vendors and their chain."""
    return {
        **variables(process.ready),
        "MONGODB_URI": mongodb_uri,
        "GPU_VENDOR_SECRET": SECRET,
        "VENDOR_URL": process.ready["url"],
        "STUBS_URL": stubs.ready["url"],
    }


def _basics() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
