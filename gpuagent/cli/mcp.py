"""`gpuagent mcp`: the tools for assistants, on standard input and output or over HTTP."""

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import errors_explained, user_name
from gpuagent.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from gpuagent.mcp.host import Host


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve HTTP at /mcp, behind the tokens of REST.")] = False,
    host: Annotated[str, typer.Option(help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http; 0: any free one.")] = 3001,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="With --http: a name by which clients call it; may be repeated."),
    ] = None,
    user: Annotated[str, typer.Option(help="Whose runs it starts where no token says it; default: your login.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag of every run that it starts; may be repeated.")] = None,
) -> None:
    """Give an assistant tools to dry-run, start, tick and look at runs. None approves, and none changes the policy."""
    with errors_explained():
        tools = _host(os.environ, user or user_name(""), tuple(tag or ()))
        if http:
            _serve_http(tools, host, port, name or [])
        elif name:
            raise BadInput("--name is for --http: on standard input and output nobody calls by a name")
        else:
            _serve_stdio(tools)


def _host(environ: Mapping[str, str], user: str, tags: tuple[str, ...]) -> "Host":
    from gpuagent.api.connections import Connections

    try:
        from gpuagent.mcp.host import Host
    except ImportError as error:
        raise ConfigError("the tools are not installed: pip install 'gpuagent[mcp]'") from error
    return Host(Connections(environ), user, tags)


def _serve_stdio(host: "Host") -> None:
    from gpuagent.mcp.server import mcp_server

    with closing(host.connections):
        mcp_server(host).run("stdio")


def _serve_http(host: "Host", address: str, port: int, names: list[str]) -> None:
    from gpuagent.cli.serve import check_tokens, leave, listening_socket, url_of
    from gpuagent.wire.loopback import is_loopback

    check_tokens(address, host.connections.environ)
    if not is_loopback(address) and not names:
        raise ConfigError(f"--host {address}: say by --name HOST under which name clients call it; others are refused")
    ended = True
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        listening = stack.enter_context(listening_socket(address, port))
        from gpuagent.api.server import RestServer
        from gpuagent.mcp.http import PATH, mcp_app

        server = RestServer(mcp_app(host, names), listening)
        try:
            server.start()
            typer.echo(url_of(listening) + PATH)
            server.wait()
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
            ended = server.stop()
    leave(ended)
