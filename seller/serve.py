"""The server of a seller: it serves until a signal comes, or until it is drained."""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import uvicorn
from fastapi import FastAPI

from seller.api.app import create_app
from seller.api.documents import bazaar_declaration
from seller.config import Config
from seller.dispatcher import Dispatcher
from seller.errors import BadSetting
from seller.opening import Premises, open_counter, open_premises, vendor_of
from seller.report.metrics import serve_metrics
from seller.workers import run_workers

SHUTDOWN_S = 30
"""For requests under way: settlements among them."""
KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep a connection: whoever sends on one that is just being closed gets no answer."""
BACKLOG = 512


def sell(config: Config, environment: Mapping[str, str], workers: int = 1) -> None:
    """Serve until told to stop; jobs go on, and the next start adopts them.

    workers: processes that share the port and the folder. Raises BadSetting, ChainError or Unreadable.
    """
    if workers > 1 and sys.platform != "linux":
        raise BadSetting(f"--workers {workers}: several workers need Linux; leave it out")
    with open_premises(config, environment, workers) as premises, listen(config.listen) as listener:
        ready = json.dumps(ready_line(premises, listener, workers))
        if workers == 1:
            serve(premises, listener, cache(lambda: print_ready(ready)))
            return
        bazaar_declaration(vendor_of(config))  # imports what takes seconds, once for all workers
        run_workers(
            workers,
            lambda place, alive: serve(premises, listener, alive, dispatches=place == 0),
            ready=lambda: print_ready(ready),
            ending=listener.close,  # a call that comes then is refused, and does not wait for the last worker's end
        )


def serve(premises: Premises, listener: socket.socket, alive: Callable[[], None], *, dispatches: bool = True) -> bool:
    """Serves as one process of a seller until told to stop; whether it has been drained.

    alive: called once it serves, and ten times a second then. dispatches: also starts jobs, and serves the metrics.
    """
    config = premises.config
    with ExitStack() as stack:
        shop = stack.enter_context(open_counter(premises))
        server = Server(create_app(shop, title=config.name), alive)
        dispatcher = Dispatcher(
            shop, config.folder, config.limits.keep_files, int(config.limits.disk), drained=server.stop
        )
        if dispatches:
            if config.metrics:
                stack.callback(serve_metrics(config.metrics, shop, config.folder))
            dispatcher.step()
            dispatcher.start()
            stack.callback(dispatcher.close)
        server.run(sockets=[listener])
    return dispatcher.is_drained


def ready_line(premises: Premises, listener: socket.socket, workers: int) -> dict[str, Any]:
    """What is said once the seller serves."""
    host, port = listener.getsockname()[:2]
    return {
        "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "vendorId": premises.config.id,
        "name": premises.config.name,
        "pid": os.getpid(),
        "workers": workers,
        "folder": str(premises.config.folder),
        "notices": list(premises.runner.notices),
    }


def print_ready(line: str) -> None:
    """Says on standard output that the seller is ready, in one line of JSON."""
    print(line, flush=True)  # noqa: T201


def listen(place: str) -> socket.socket:
    """A listening socket. Raises BadSetting."""
    host, _, port = place.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay off only where it is; 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BadSetting(f"listen={place}: cannot listen there ({error.strerror})") from None
    return listener


class Server(uvicorn.Server):
    """A uvicorn server that calls back once it serves, and ten times a second then."""

    def __init__(self, app: FastAPI, alive: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._alive = alive

    def stop(self) -> None:
        """Ends the server once the requests under way are answered."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        self._alive()
        return await super().on_tick(counter)
