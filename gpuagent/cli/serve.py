"""`gpuagent serve`: the REST server on this machine."""

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import errors_explained
from gpuagent.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

SHUTDOWN_S = 3
"""For answers that are under way when the server is stopped; followers of runs come back by themselves."""
Host = Annotated[str, typer.Option(help="The address to listen on; one that is not loopback needs tokens.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
Dev = Annotated[bool, typer.Option("--dev", help="Start a database, a chain and practice vendors too; keep nothing.")]


def serve(host: Host = "127.0.0.1", port: Port = 3000, dev: Dev = False) -> None:
    """Serve REST and live events until stopped. The first line is the server's URL."""
    with errors_explained(), ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):  # so that every cleanup runs, whichever signal stops it
            signal.signal(number, signal.default_int_handler)
        environ: Mapping[str, str] = os.environ
        try:
            _check_tokens(host, environ)
            listener = stack.enter_context(_listen(host, port))
            if dev:
                environ = _practice(stack)
            from gpuagent.api.app import create_app

            typer.echo(_url(listener))
            _run(create_app(environ), listener)
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)


def _check_tokens(host: str, environ: Mapping[str, str]) -> None:
    """Raises ConfigError for a server that any machine could use without a token."""
    from gpuagent.api.auth import is_loopback
    from gpuagent.api.tokens import TOKENS, read_tokens

    if not read_tokens(environ).callers and not is_loopback(host):
        raise ConfigError(f"--host {host} lets other machines in: set {TOKENS} first, such as ada=operate+approve:…")


def _practice(stack: ExitStack) -> Mapping[str, str]:
    """The environment of a fresh embedded stack whose vendors are recorded."""
    from gpuagent import settings, wiring
    from gpuagent.practice.stack import start

    running = stack.enter_context(start(PORT="0"))
    uri = running.environment["MONGODB_URI"]
    typer.echo(f"a database of its own, for other shells: export MONGODB_URI='{uri}'", err=True)
    environ = {**os.environ, **running.environment}
    with wiring.open_database(settings.read(environ)) as db:
        wiring.record_vendors(db, running.vendors)
    return environ


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay off only where it is; 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); --port 0 takes any free one") from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(app: "FastAPI", listener: socket.socket) -> None:
    try:
        import uvicorn
    except ImportError as error:
        raise ConfigError("the server is not installed: pip install 'gpuagent[rest]'") from error

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.followers.dismiss()  # else the server would wait for answers that have no end
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="websockets-sansio",  # the other implementation rests on a part of websockets that is to go
        timeout_graceful_shutdown=SHUTDOWN_S,
        # A proxy's word on the client's address would let any client pass for this machine.
        proxy_headers=False,
    )
    Server(config).run(sockets=[listener])
