"""The server of a seller: it serves until a signal comes, or until it is drained."""

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from seller.api.app import create_app
from seller.api.documents import bazaar_declaration
from seller.commons import Commons, open_commons
from seller.config import Config
from seller.dispatcher import Dispatcher
from seller.errors import BadSetting
from seller.locks import Election
from seller.opening import Premises, open_parts, open_premises, open_runner, vendor_of
from seller.report.metrics import check_place, serve_metrics
from seller.shop import Shop
from seller.workers import run_workers

logger = logging.getLogger(__name__)

SHUTDOWN_S = 30
"""For requests under way: settlements among them."""
KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep a connection: whoever sends on one that is just being closed gets no answer."""
BACKLOG = 512


def sell(config: Config, environment: Mapping[str, str], workers: int = 1) -> None:
    """Serve until told to stop; jobs go on, and the next start adopts them.

    workers: processes that share the port and the folder. Raises BadSetting, ChainError or Unreadable.
    """
    if workers > 1 and not hasattr(os, "memfd_create"):
        raise BadSetting(f"--workers {workers}: several workers need Linux; leave it out")
    with ExitStack() as stack:
        # The folder before the port: workers whose parent was killed hold both until they have ended.
        premises = stack.enter_context(open_premises(config, environment))
        listener = stack.enter_context(listen(config.listen))
        if config.metrics:
            check_place(config.metrics)
        commons = stack.enter_context(open_commons(config, premises.folder, workers))
        ready = ready_line(config, listener, workers)
        if workers == 1:
            serve(premises, commons, listener, lambda notices: print_ready(ready, notices))
            return
        notices = look_at_runner(premises)
        load_before_fork(premises)

        def work(started: Callable[[], None]) -> bool:
            return serve(premises, commons, listener, lambda _: started())

        run_workers(workers, work, listener, lambda: print_ready(ready, notices))


def serve(
    premises: Premises, commons: Commons, listener: socket.socket, started: Callable[[tuple[str, ...]], None]
) -> bool:
    """Serves as one process of a seller until told to stop. started: takes the runner's notices once it does.

    Whether the seller has been drained, so that none is to serve any more.
    """
    config, drained = premises.config, threading.Event()
    with ExitStack() as stack:
        shop = stack.enter_context(open_parts(premises, commons))
        server = Server(create_app(shop, title=config.name), lambda: started(shop.workshop.runner.notices))
        lead = Lead(commons.election, config.metrics, shop, premises.folder)
        stack.callback(lead.close)

        def drain() -> None:
            drained.set()
            server.stop()

        keep_s, disk = config.limits.keep_files, int(config.limits.disk)
        dispatcher = Dispatcher(shop, premises.folder, keep_s, disk, drain, lead.is_ours)
        dispatcher.turn()
        dispatcher.start()
        stack.callback(dispatcher.close)
        server.run(sockets=[listener])
    return drained.is_set()


def look_at_runner(premises: Premises) -> tuple[str, ...]:
    """What does not contain the runner's jobs. Raises BadSetting where there can be no runner."""
    runner = open_runner(premises.config, premises.folder / "jobs")
    try:
        return runner.notices
    finally:
        runner.close()


def load_before_fork(premises: Premises) -> None:
    """Imports what takes seconds, once for all workers."""
    bazaar_declaration(vendor_of(premises.config))


class Lead:
    """The lead of one process among those of a seller: whose it is dispatches, and serves the metrics."""

    def __init__(self, election: Election, metrics: str | None, shop: Shop, folder: Path) -> None:
        self._election, self._metrics, self._shop, self._folder = election, metrics, shop, folder
        self._close_metrics: Callable[[], None] | None = None

    def is_ours(self) -> bool:
        if not self._election.is_won():
            return False
        if self._metrics and self._close_metrics is None:
            try:
                self._close_metrics = serve_metrics(self._metrics, self._shop, self._folder)
            except BadSetting as error:  # jobs are dispatched all the same, and the next turn tries again
                logger.warning("%s", error)
        return True

    def close(self) -> None:
        if self._close_metrics:
            self._close_metrics()
        self._election.close()


def ready_line(config: Config, listener: socket.socket, workers: int) -> dict[str, Any]:
    host, port = listener.getsockname()[:2]
    return {
        "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "vendorId": config.id,
        "name": config.name,
        "pid": os.getpid(),
        "workers": workers,
        "folder": str(config.folder),
    }


def print_ready(line: dict[str, Any], notices: tuple[str, ...]) -> None:
    """Says on standard output that the seller is ready, in one line of JSON."""
    print(json.dumps({**line, "notices": list(notices)}), flush=True)  # noqa: T201


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
    """A uvicorn server that calls back once it serves."""

    def __init__(self, app: FastAPI, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._on_start = started

    def stop(self) -> None:
        """Ends the server once the requests under way are answered."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()
