"""`python -m seller` as a child process, on the practice chain: configured, started, awaited and stopped."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from eth_account import Account

from mock_vendor.chain import mint
from mock_vendor.market import PracticeMarket
from tests.support.mock_buyer import Buyer

ROOT = Path(__file__).parents[2]
READY_S, STOP_S = 240, 90
KEY = "0x" + "5e" * 32
"""The seller's own, which pays gas and signs quotes."""


def write_config(folder: Path, practice: PracticeMarket, /, **fields: Any) -> Path:
    """seller.yaml on the practice chain, with a port of its own."""
    market = practice.market
    token = {"address": market.asset, "name": market.asset_name, "version": market.asset_version}
    document = {
        "name": "Box in the cellar",
        "pay_to": practice.payees[0],
        "network": market.network,
        "rpc_url": market.rpc_url,
        "token": token,
        "offers": [{"gpu": "A100", "count": 1, "price_per_hour": 1.40, "gpu_memory": "80GB"}],
        "runner": {"kind": "process"},
        "listen": "127.0.0.1:0",
        "metrics": None,
        **fields,
    }
    path = folder / "seller.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass
class SellerProcess:
    """A seller that is ready. log: the file of its standard error."""

    child: subprocess.Popen[str]
    ready: dict[str, Any]
    config: Path
    log: Path
    practice: PracticeMarket

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def buyer(self, private_key: str = "", rpc_url: str = "") -> Buyer:
        """A buyer with the practice payer's money, or the holder of another key."""
        market, payer = self.practice.market, self.practice.payer
        assert payer
        key = private_key or payer.private_key
        chain = {
            "rpcUrl": rpc_url or market.rpc_url,
            "asset": market.asset,
            "payer": {"address": Account.from_key(key).address, "privateKey": key},
        }
        ready = {"url": self.url, "secret": "none-is-asked-for", "chain": chain}
        return Buyer(ready, str(self.ready["vendorId"]))

    def workers(self) -> list[psutil.Process]:
        """The worker processes; none where the seller is one process. Those of jobs are no children of their parent."""
        return psutil.Process(self.child.pid).children()

    def terminate(self) -> None:
        self.child.terminate()

    def wait(self) -> int:
        return self.child.wait(STOP_S)


def payer_with(practice: PracticeMarket, amount: int) -> str:
    """The key of a new account that has so much of the token."""
    account = Account.create()
    mint(practice.market.rpc_url, practice.market.asset, account.address, amount)
    return str(account.key.to_0x_hex())


@contextmanager
def seller_running(
    config: Path, practice: PracticeMarket, key: str = KEY, workers: int = 1, **environment: str
) -> Iterator[SellerProcess]:
    """A seller of this configuration, which is ended at the end if it has not ended by itself."""
    log = config.with_suffix(".log")
    with log.open("a") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "seller", "--config", config, "--workers", str(workers)],
            cwd=ROOT,
            env=_basics() | {"SELLER_PRIVATE_KEY": key} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with child:
        try:
            yield SellerProcess(child, _ready(child, log), config, log, practice)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(STOP_S)
                finally:
                    child.kill()


def seller_command(config: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of `python -m seller` that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "seller", *arguments, "--config", config],
        cwd=ROOT,
        env=_basics() | environment,
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )


def _ready(child: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert child.stdout
    readable, _, _ = select.select([child.stdout], [], [], READY_S)
    assert readable, f"the seller did not become ready in {READY_S} s: {log.read_text()}"
    line = child.stdout.readline()
    assert line, log.read_text()
    ready: dict[str, Any] = json.loads(line)
    return ready


def _basics() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
