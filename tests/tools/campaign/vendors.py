"""The vendors of a campaign, in a process that is killed and started again; their chain is beside it and lives on."""

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

READY_S, JOBS_END_S = 60, 10
SECRET = "a-campaign-of-its-own"
VENDORS = "4"
ROOT = Path(__file__).parents[3]


class VendorProcess:
    """`python -m mock_vendor` on one port and folder. ready: what its first start said of itself."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._log = (folder / "vendors.log").open("a")
        self._process = self._start("0")
        self.is_up = False
        self.ready: dict[str, Any] = {}
        self.wait()

    @property
    def jobs(self) -> Path:
        """The folder of the jobs' own folders."""
        return self._folder / "vendors" / "jobs"

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
        assert line, f"the vendors did not start: {(self._folder / 'vendors.log').read_text()[-2000:]}"
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
        while any(JobFolder(path).is_held() for path in self.jobs.iterdir()) and time.monotonic() < ends_at:
            time.sleep(0.05)

    def _reap(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()

    def _start(self, port: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "mock_vendor", "--until-stdin-closes"],
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
        basics = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
        process = VendorProcess(folder, basics | chain | own)
        try:
            yield process
        finally:
            process.close()


def environment(process: VendorProcess, mongodb_uri: str) -> dict[str, str]:
    """The variables that point the agent at the vendors and their chain."""
    chain = process.ready["chain"]
    return {
        "MONGODB_URI": mongodb_uri,
        "CHAIN_RPC_URL": chain["rpcUrl"],
        "X402_NETWORK": chain["network"],
        "X402_ASSET": chain["asset"],
        "X402_ASSET_NAME": chain["assetName"],
        "X402_ASSET_VERSION": chain["assetVersion"],
        "GPU_VENDOR_SECRET": SECRET,
        "VENDOR_URL": process.ready["url"],
    }
