"""`python -m mock_vendor`: sell GPU jobs until told to stop. One JSON line on stdout says when ready."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading

from mock_vendor.settings import Settings, read_settings
from seller.errors import BadSetting, ChainError

HOST = "127.0.0.1"
LOCAL = ("127.0.0.1", "localhost", "::1")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mock_vendor", description=__doc__)
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin reaches its end")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    _spare_local_chain()
    try:
        settings = read_settings(os.environ)
        with _listen(settings.port) as listener:
            _sell(settings, listener)
    except (BadSetting, ChainError) as error:
        sys.exit(_complain(str(error)))


def _spare_local_chain() -> None:
    """Keep proxies out of the way to this machine: they would look for its chain where they run themselves."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, (listed, *LOCAL)))


def _sell(settings: Settings, listener: socket.socket) -> None:
    # Imported here: it takes two seconds, and a mistake in the environment is said at once.
    from mock_vendor.serve import sell

    # py_ecc, which web3 loads, lifts the limit to 100,000: a buyer's deeply nested JSON would then
    # overflow the stack and end the interpreter, where it should be a RecursionError.
    sys.setrecursionlimit(1000)
    sell(settings, listener)


def _stop(*_: object) -> None:
    """Exit by way of every cleanup. uvicorn raises the signal again once it has stopped, so it comes here."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second signal must not cut the cleanups short
    sys.exit(0)


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio switches Nagle's delay off only where it is; 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise BadSetting(f"PORT={port}: cannot listen there ({error.strerror}); 0 takes any free port") from None
    return listener


def _stop_with_stdin() -> None:
    # Not sys.stdin: a thread that waits in it would hold its lock when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _complain(message: str) -> int:
    sys.stderr.write(f"mock_vendor: {message}\n")
    return 2


if __name__ == "__main__":
    main()
