"""The practice stack on this machine: mongod, a chain and vendors to practise on, all as real processes."""

import fcntl
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from gpuagent.core.model import Vendor
from gpuagent.errors import ConfigError
from gpuagent.wire.child_environment import child_environment
from gpuagent.wiring.embedded import start_mongod
from gpuagent.wiring.vendors import vendor_from

logger = logging.getLogger(__name__)
READY_S = 180
STOP_S = 15
POLL_S = 0.05
PRACTICE_VENDORS, STUBS = "mock_vendor", "mock_vendor.stubs"
"""The programs that sell here: vendors of our own protocol, and stubs of vendors of others."""
STUB_VARIABLES = (
    *("CHAIN_RPC_URL", "X402_NETWORK", "X402_ASSET", "X402_ASSET_NAME", "X402_ASSET_VERSION"),
    "GPU_VENDOR_SECRET",
)
VENDOR_VARIABLES = (
    *("PORT", "BASE_PRICE_PER_HOUR", "FAIL_RATE", "FAIL_VENDOR_ID"),
    *("MOCK_DATA_DIR", "MOCK_PAYER_USDC", "MOCK_SEED", "MOCK_SLOW_S", "MOCK_SPEED", "MOCK_VENDORS"),
    *("MOCK_KEEP_JOBS", "MOCK_SANDBOX"),
)
"""What the practice vendors read of the user's environment. Chain, wallets and bearer token they bring themselves."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. environment: the variables that point the agent at it. vendors: to be recorded in the store."""

    environment: Mapping[str, str] = field(repr=False)
    vendors: tuple[Vendor, ...]


@contextmanager
def start(
    folder: Path | None = None, mongodb_uri: str = "", *, stubs: bool = False, **vendor_settings: str
) -> Iterator[Stack]:
    """Run the stack until the block ends. Raises ConfigError, MongodError.

    stubs: with stubs of sellers that speak other protocols, which remember nothing; without a folder also with a bucket
    for files, which is the file store.

    folder: where the database, the chain and the vendors' jobs are kept, for one stack at a time; None: nothing
    outlives the block.
    mongodb_uri: a server to use instead of an embedded one. vendor_settings: variables for the mock vendor (PORT, ...).
    """
    if folder:
        vendor_settings = {"MOCK_DATA_DIR": str(folder / "vendors"), **vendor_settings}
    with ExitStack() as stack:
        lock = (stack.enter_context(folder_lock(folder)),) if folder else ()
        vendors = stack.enter_context(_program(PRACTICE_VENDORS, vendor_settings, lock))
        if not mongodb_uri:  # while the vendors start
            mongodb_uri = stack.enter_context(start_mongod(folder / "mongod" if folder else None)).uri
        ready = _ready_line(*vendors)
        environment, entries = _environment(mongodb_uri, ready), list(ready["vendors"])
        if stubs:
            settings = {name: environment[name] for name in STUB_VARIABLES} | {"PORT": "0"}
            more = _ready_line(*stack.enter_context(_program(STUBS, settings, ())))
            entries += more["vendors"]
            environment["STUBS_URL"] = more["url"]
            if folder is None:  # what is in it does not outlive the stubs, and would be missed
                environment |= more["bucket"]
        yield Stack(environment, tuple(vendor_from(entry) for entry in entries))


def _environment(uri: str, ready: Mapping[str, Any]) -> dict[str, str]:
    chain = ready["chain"]
    environment = {
        "MONGODB_URI": uri,
        "CHAIN_RPC_URL": chain["rpcUrl"],
        "X402_NETWORK": chain["network"],
        "X402_ASSET": chain["asset"],
        "X402_ASSET_NAME": chain["assetName"],
        "X402_ASSET_VERSION": chain["assetVersion"],
        "GPU_VENDOR_SECRET": ready["secret"],
        "VENDOR_URL": ready["url"],
    }
    if chain["payer"]:
        environment["X402_PRIVATE_KEY"] = chain["payer"]["privateKey"]
    return environment


@contextmanager
def folder_lock(folder: Path, wait_s: float = STOP_S) -> Iterator[int]:
    """Lock the folder until the block ends; the lock's descriptor. Raises ConfigError after wait_s.

    The vendors inherit it, so it is free again once the last of us and them has ended: a notebook's restarted kernel
    waits until the vendors that a killed kernel left have written their chain down.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "stack.lock").open("ab") as file:
        ends_at = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise ConfigError(
                        f"another process runs the stack of {folder}: export the variables that its `gpuagent up` "
                        "printed, work in the notebooks of its `gpuagent lab`, or stop it"
                    ) from None
                time.sleep(POLL_S)
        yield file.fileno()


@contextmanager
def _program(
    module: str, settings: Mapping[str, str], inherited: tuple[int, ...]
) -> "Iterator[tuple[subprocess.Popen[str], IO[str]]]":
    """Run a program that sells in a process of its own with a log, which ends when its stdin closes."""
    with TemporaryDirectory(prefix="gpuagent-vendor-") as scratch, (Path(scratch) / "log").open("w+") as log:
        vendor = subprocess.Popen(
            [sys.executable, "-m", module, "--until-stdin-closes"],
            env={**child_environment(os.environ, *VENDOR_VARIABLES), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # A ctrl-C is for us alone: we stop the vendor in order, after the agent.
            start_new_session=True,
            pass_fds=inherited,
        )
        try:
            yield vendor, log
        finally:
            assert vendor.stdin
            assert vendor.stdout
            vendor.stdin.close()
            try:
                vendor.wait(STOP_S)
            except subprocess.TimeoutExpired:
                vendor.kill()
                vendor.wait()
            vendor.stdout.close()


def _ready_line(vendor: "subprocess.Popen[str]", log: IO[str]) -> dict[str, Any]:
    assert vendor.stdout
    ends_at = time.monotonic() + READY_S
    # The line is short, so it arrives whole.
    readable, _, _ = select.select([vendor.stdout], [], [], ends_at - time.monotonic())
    line = vendor.stdout.readline() if readable else ""
    if not line:
        log.seek(0)
        lines = log.read().strip().splitlines()
        raise ConfigError(f"the mock vendor did not start: {lines[-1] if lines else f'no sign in {READY_S} s'}")
    ready: dict[str, Any] = json.loads(line)
    for notice in ready["notices"]:
        logger.warning("the practice vendors say: %s", notice)
    return ready
