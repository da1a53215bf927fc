"""A local EVM chain (Anvil) with a test USDC on it, started as a child and ended with its parent."""

import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_typing import HexAddress, HexStr
from web3 import HTTPProvider, Web3
from web3.types import Nonce
from web3.utils import get_create_address

from mock_vendor import contracts
from seller.errors import ChainError
from seller.payments.market import Account, connect

CHAIN_ID = 31337
PORTS = range(10_000, 20_000)
"""Below those that systems give to whoever asks for any, and that embedded databases come back at."""
START_DEADLINE_S = 60
"""Reached only where something is broken: a machine may be busy with other things for long."""
STOP_DEADLINE_S = 10
LOCK_DEADLINE_S = 10
"""The last Anvil needs a moment to save its state, on a busy machine some seconds; another mock never lets go."""
STATES_KEPT = 128
"""Of the newest blocks, as full nodes keep. Anvil would keep all, and write a file a block to the home folder."""
PR_SET_PDEATHSIG = 1
ANVIL_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
"""What Anvil may know of our environment, in which secrets are."""


@dataclass(frozen=True)
class Anvil:
    """A running chain. Account 0 deploys and mints, the last one is the facilitator."""

    rpc_url: str
    pid: int
    accounts: tuple[Account, ...]


@contextmanager
def anvil(data_dir: Path | None = None, accounts: int = 10, lock_s: float = LOCK_DEADLINE_S) -> Iterator[Anvil]:
    """Run Anvil until the block ends. With a data_dir its state outlives it. Raises ChainError.

    lock_s: how many seconds the last Anvil of the data_dir has to end.
    """
    with ExitStack() as stack:
        port = free_port()
        command = [_find_anvil(), "--port", str(port), "--chain-id", str(CHAIN_ID)]
        command += ["--block-time", "1", "--mixed-mining", "--silent", "--accounts", str(accounts)]
        command += ["--prune-history", str(STATES_KEPT)]
        inherited: tuple[int, ...] = ()
        if data_dir is not None:
            command += ["--state", str(data_dir / "anvil-state.json"), "--state-interval", "1"]
            inherited = (stack.enter_context(_state_lock(data_dir, lock_s)),)
        rpc_url = f"http://127.0.0.1:{port}"
        with tempfile.TemporaryDirectory(prefix="anvil-") as scratch:
            keys = Path(scratch) / "keys.json"
            child = stack.enter_context(_child([*command, "--config-out", str(keys)], inherited))
            _wait_until_ready(child, rpc_url)
            pair = _read_keys(keys)
        pairs = zip(pair["available_accounts"], pair["private_keys"], strict=True)
        yield Anvil(
            rpc_url,
            child.pid,
            tuple(Account(Web3.to_checksum_address(address), key) for address, key in pairs),
        )


def deploy_usdc(rpc_url: str, owner: str) -> tuple[str, bool]:
    """The token's address, and whether it was deployed now: a restored chain has it already."""
    web3 = connect(rpc_url)
    address = get_create_address(HexAddress(HexStr(owner)), Nonce(0))
    if web3.eth.get_code(address):
        return address, False
    if web3.eth.get_transaction_count(Web3.to_checksum_address(owner)) != 0:
        raise ChainError(f"account {owner} was used before the test USDC was deployed")
    digest = web3.eth.send_transaction(
        {"from": Web3.to_checksum_address(owner), "data": Web3.to_bytes(hexstr=HexStr(contracts.load().bytecode))}
    )
    web3.eth.wait_for_transaction_receipt(digest, timeout=START_DEADLINE_S, poll_latency=0.01)
    return address, True


def mint(rpc_url: str, asset: str, receiver: str, amount: int) -> None:
    """Give `amount` atomic units of the test USDC. Anvil signs for the token's owner itself."""
    web3 = connect(rpc_url)
    token = web3.eth.contract(address=Web3.to_checksum_address(asset), abi=contracts.load().abi)
    digest = token.functions.mint(Web3.to_checksum_address(receiver), amount).transact(
        {"from": token.functions.owner().call()}
    )
    web3.eth.wait_for_transaction_receipt(digest, timeout=START_DEADLINE_S, poll_latency=0.01)


def advance_time(rpc_url: str, seconds: int) -> None:
    """Move the chain's clock forward and mine a block there."""
    rpc(rpc_url, "evm_increaseTime", seconds)
    rpc(rpc_url, "evm_mine")


def rpc(rpc_url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call. Raises ChainError when the chain refuses it."""
    answer: Any = HTTPProvider(rpc_url).make_request(method, list(params))
    if "error" in answer:
        raise ChainError(f"{method}: {answer['error']}")
    return answer["result"]


def _find_anvil() -> str:
    on_path = shutil.which("anvil")
    if on_path:
        return on_path
    installed = sorted(Path(sys.prefix).glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if installed:
        return str(installed[0])
    raise ChainError(f"no anvil found: npm install --prefix {sys.prefix} @foundry-rs/anvil@1.7.1")


def free_port() -> int:
    """A port of this machine that stays free until it is listened at: the system hands out none of these to others.

    Raises ChainError.
    """
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ChainError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


@contextmanager
def _state_lock(data_dir: Path, lock_s: float) -> Iterator[int]:
    """Wait for the last Anvil of this folder to be gone; it saves its state as it ends."""
    # Anvil inherits the locked descriptor, so the lock lasts as long as Anvil, not as long as we do.
    with (data_dir / "anvil.lock").open("w") as lock:
        deadline = time.monotonic() + lock_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ChainError(f"another mock_vendor is using {data_dir}") from None
                time.sleep(0.05)
        yield lock.fileno()


@contextmanager
def _child(command: list[str], inherited: tuple[int, ...]) -> Iterator[subprocess.Popen[bytes]]:
    # A session of its own: Ctrl-C reaches us alone, and we end Anvil after the vendor has stopped.
    child = subprocess.Popen(
        command,
        env={name: value for name, value in os.environ.items() if name in ANVIL_VARIABLES},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=inherited,
        start_new_session=True,
        preexec_fn=_end_with_parent(),
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_with_parent() -> Any:
    """A preexec_fn for the child, so that a SIGKILLed parent leaves no Anvil. Linux only."""
    if sys.platform != "linux":
        return None
    # SIGTERM rather than SIGKILL, so that Anvil still saves its state. libc is loaded before the fork,
    # because loading a library between fork and exec can deadlock.
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask_for_death_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before prctl was called
            os._exit(1)

    return ask_for_death_signal


def _read_keys(path: Path) -> Any:
    """Anvil's accounts, which it may still be writing when it answers already."""
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            if time.monotonic() > deadline:
                raise ChainError(f"anvil wrote no accounts within {START_DEADLINE_S} s") from None
            time.sleep(0.02)


def _wait_until_ready(child: subprocess.Popen[bytes], rpc_url: str) -> None:
    web3 = connect(rpc_url)
    deadline = time.monotonic() + START_DEADLINE_S
    while not web3.is_connected():
        if child.poll() is not None:
            raise ChainError(f"anvil ended at once with exit code {child.returncode}")
        if time.monotonic() > deadline:
            raise ChainError(f"anvil did not answer on {rpc_url} within {START_DEADLINE_S} s")
        time.sleep(0.02)
