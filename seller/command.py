"""What every seller's command does before it serves: it ends by way of its cleanups, and reaches this machine."""

import os
import re
import signal
import sys
from argparse import ArgumentTypeError

LOCAL = ("127.0.0.1", "localhost", "::1")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RECURSION_MAX = 1000
WORKERS_MAX = 64


def stop_cleanly() -> None:
    """Has a signal to stop end the command by way of every cleanup."""
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)


def spare_local_chain() -> None:
    """Keep proxies out of the way to this machine: they would look for its chain where they run themselves."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, (listed, *LOCAL)))


def bound_recursion() -> None:
    """Sets the limit anew, once web3 is loaded: its py_ecc lifts it to 100,000.

    A buyer's deeply nested JSON would then overflow the stack and end the interpreter, where it should be a
    RecursionError.
    """
    sys.setrecursionlimit(RECURSION_MAX)


def worker_count(text: str) -> int:
    """The number of workers that a command line asks for. Raises ArgumentTypeError."""
    if not re.fullmatch("[0-9]{1,2}", text) or not 1 <= int(text) <= WORKERS_MAX:
        raise ArgumentTypeError(f"write a whole number from 1 to {WORKERS_MAX}; one for each core is plenty")
    return int(text)


def _stop(*_: object) -> None:
    """uvicorn raises the signal again once it has stopped, so it comes here."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second signal must not cut the cleanups short
    sys.exit(0)
