"""`python -m mock_vendor`: sell GPU jobs until told to stop. One JSON line on stdout says when ready."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading

from mock_vendor.settings import Settings, read_settings
from seller.command import bound_recursion, spare_local_chain, stop_cleanly
from seller.errors import BadSetting, ChainError

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mock_vendor", description=__doc__)
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin reaches its end")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    stop_cleanly()
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    spare_local_chain()
    try:
        settings = read_settings(os.environ)
        with _listen(settings.port) as listener:
            _sell(settings, listener)
    except (BadSetting, ChainError) as error:
        sys.exit(_complain(str(error)))


def _sell(settings: Settings, listener: socket.socket) -> None:
    # Imported here: it takes two seconds, and a mistake in the environment is said at once.
    from mock_vendor.serve import sell

    bound_recursion()
    sell(settings, listener)


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
