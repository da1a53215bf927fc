"""`gpuagent console`: the run console as a page of its own, for a browser or a phone."""

import importlib.util
import os
import secrets
import webbrowser
from typing import Annotated

import typer

from gpuagent.cli.common import errors_explained, interval
from gpuagent.errors import ConfigError

IDLE_S = range(5, 86_401)


def _idle(value: str | float) -> int:
    seconds = int(interval(value))
    if seconds not in IDLE_S:
        raise typer.BadParameter(f"{value} cannot be: write 5s to 24h")
    return seconds


def console(
    host: Annotated[str, typer.Option(help="The address to listen on; one that is not loopback needs tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8866,
    browser: Annotated[bool, typer.Option(help="Open the browser, where no tokens are configured.")] = True,
    theme: Annotated[str, typer.Option(help="light or dark; a visitor chooses by ?theme=dark.")] = "light",
    visitors: Annotated[int, typer.Option(min=1, max=100, help="Pages open at once, about 100 MB each.")] = 8,
    idle: Annotated[
        float,
        typer.Option(
            parser=_idle, metavar="TIME", help="End a page's process so long after it is left: 5m, or seconds."
        ),
    ] = 300,
) -> None:
    """Serve the run console without Jupyter until stopped. The first line is its URL.

    Without GPUAGENT_API_TOKENS it is yours alone, by a token in that URL, and may do what you may. With them each
    visitor has the rights of their token: read looks, approve decides, operate starts and ticks runs with your key.
    """
    from gpuagent.api.tokens import TOKENS, Tokens, read_tokens
    from gpuagent.settings import is_configured
    from gpuagent.wire.loopback import is_loopback

    with errors_explained():
        if theme not in ("light", "dark"):
            raise ConfigError("--theme is light or dark")
        if importlib.util.find_spec("voila") is None or importlib.util.find_spec("ipywidgets") is None:
            raise ConfigError("the page is not installed: pip install 'gpuagent[console,notebooks,rest]'")
        tokens = read_tokens(os.environ)
        if not tokens.callers and not is_loopback(host):
            raise ConfigError(f"--host {host} lets other machines in: set {TOKENS} first, such as ada=approve:…")
        from gpuagent.console.environments import OWN_USER, open_environments
        from gpuagent.console.server import serve
        from gpuagent.console.visitors import Visitors

        if not is_configured(os.environ):
            typer.echo("nothing is configured: starting mongod, a local chain and practice vendors ...", err=True)
        owner = "" if tokens.callers else secrets.token_urlsafe(24)
        guests = Visitors(Tokens({owner: OWN_USER}) if owner else tokens)

        def announce(bound: int) -> None:
            url = f"http://[{host}]:{bound}/" if ":" in host else f"http://{host}:{bound}/"
            typer.echo(f"{url}?token={owner}" if owner else url)
            if owner and browser:
                webbrowser.open(f"{url}?token={owner}")

        with open_environments(os.environ, guests.callers) as environments:
            serve(
                environments,
                guests,
                announce,
                host=host,
                port=port,
                theme=theme,
                visitors_max=visitors,
                idle_s=int(idle),
            )
