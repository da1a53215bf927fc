"""The server of a seller: it serves until a signal comes, or until it is drained."""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack

import uvicorn
from fastapi import FastAPI

from seller.api.app import create_app
from seller.config import Config
from seller.dispatcher import Dispatcher
from seller.errors import BadSetting
from seller.opening import open_shop
from seller.report.metrics import serve_metrics

SHUTDOWN_S = 30
"""For requests under way: settlements among them."""
KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep a connection: whoever sends on one that is just being closed gets no answer."""
BACKLOG = 512


def sell(config: Config, environment: Mapping[str, str]) -> None:
    """Serve until told to stop; jobs go on, and the next start adopts them. Raises BadSetting, ChainError."""
    with ExitStack() as stack:
        listener = stack.enter_context(listen(config.listen))
        shop = stack.enter_context(open_shop(config, environment))
        server = Server(create_app(shop, title=config.name), config, listener, shop.workshop.runner.notices)
        dispatcher = Dispatcher(
            shop, config.folder, config.limits.keep_files, int(config.limits.disk), drained=server.stop
        )
        if config.metrics:
            stack.callback(serve_metrics(config.metrics, shop, config.folder))
        dispatcher.step()
        dispatcher.start()
        stack.callback(dispatcher.close)
        server.run(sockets=[listener])


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
    """A uvicorn server that says on standard output when it is ready, in one line of JSON."""

    def __init__(self, app: FastAPI, config: Config, listener: socket.socket, notices: tuple[str, ...]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._ready = {
            "url": url,
            "vendorId": config.id,
            "name": config.name,
            "pid": os.getpid(),
            "folder": str(config.folder),
            "notices": list(notices),
        }

    def stop(self) -> None:
        """Ends the server once the requests under way are answered."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(json.dumps(self._ready), flush=True)  # noqa: T201
