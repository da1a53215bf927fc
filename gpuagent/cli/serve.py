"""`gpuagent serve`: the REST server on this machine."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import errors_explained
from gpuagent.errors import ConfigError

if TYPE_CHECKING:
    from gpuagent.api.server import RestServer

THREAD_S = 0.5
Host = Annotated[str, typer.Option(help="The address to listen on; one that is not loopback needs tokens.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
Dev = Annotated[bool, typer.Option("--dev", help="Start a database, a chain and practice vendors too; keep nothing.")]


def serve(host: Host = "127.0.0.1", port: Port = 3000, dev: Dev = False) -> None:
    """Serve REST and live events until stopped. The first line is the server's URL."""
    ended = True
    with errors_explained(), ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):  # so that every cleanup runs, whichever signal stops it
            signal.signal(number, signal.default_int_handler)
        environ: Mapping[str, str] = os.environ
        server: RestServer | None = None
        try:
            check_tokens(host, environ)
            listening = stack.enter_context(listening_socket(host, port))
            if dev:
                environ = _practice(stack)
            server = _server(environ, listening)
            server.start()
            typer.echo(url_of(listening))
            server.wait()
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
            ended = server is None or server.stop()
    leave(ended)


def leave(ended: bool) -> None:
    """End the process of a server that has been stopped. ended: whether it ended in time."""
    if not (ended and _threads_ended()):
        # Python would wait for threads that wait for vendors and nodes. To cut them off is no worse than a crash.
        typer.echo("stopped with requests under way: the next tick continues what they began", err=True)
        sys.stdout.flush()
        os._exit(0)


def _threads_ended() -> bool:
    """Whether nothing is at work that Python would wait for; what is idle ends at once."""
    threads = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in (thread for thread in threads if not thread.daemon):
        thread.join(THREAD_S)
        if thread.is_alive():
            return False
    return True


def check_tokens(host: str, environ: Mapping[str, str]) -> None:
    """Raises ConfigError for a server that any machine could use without a token."""
    from gpuagent.api.tokens import TOKENS, read_tokens
    from gpuagent.wire.loopback import is_loopback

    if not read_tokens(environ).callers and not is_loopback(host):
        raise ConfigError(f"--host {host} lets other machines in: set {TOKENS} first, such as ada=operate+approve:…")


def _practice(stack: ExitStack) -> Mapping[str, str]:
    """The environment of a fresh embedded stack whose vendors are recorded."""
    from gpuagent import settings
    from gpuagent.practice.stack import start
    from gpuagent.wiring.database import open_database
    from gpuagent.wiring.vendors import record_vendors

    running = stack.enter_context(start(PORT="0"))
    uri = running.environment["MONGODB_URI"]
    typer.echo(f"a database of its own, for other shells: export MONGODB_URI='{uri}'", err=True)
    environ = {**os.environ, **running.environment}
    with open_database(settings.read(environ)) as db:
        record_vendors(db, running.vendors)
    return environ


def listening_socket(host: str, port: int) -> socket.socket:
    try:
        from gpuagent.api.server import listen

        return listen(host, port)
    except ImportError as error:
        raise ConfigError("the server is not installed: pip install 'gpuagent[rest]'") from error
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); --port 0 takes any free one") from None


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(environ: Mapping[str, str], listening: socket.socket) -> "RestServer":
    from gpuagent.api.app import create_app
    from gpuagent.api.server import RestServer

    return RestServer(create_app(environ), listening)
