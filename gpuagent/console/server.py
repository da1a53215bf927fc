"""The server of the page: voila with one notebook, our tokens, and no path that is not needed."""

import asyncio
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_core.utils import run_sync
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import HTTPError, RequestHandler, authenticated
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from gpuagent.console.environments import Environments
from gpuagent.console.kernels import Kernels, note_visitor, owned, owned_beacon
from gpuagent.console.visitors import Identities, Visitors
from gpuagent.errors import ConfigError

PAGE = Path(__file__).with_name("page.ipynb")
PING_MS = 90_000
"""A phone's connection, or a slow browser, may keep an answer for so long."""
THEMES = ("light", "dark")
FRONT_END = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
"""What the page needs of the JupyterLab extensions that are installed."""
NEEDED = ("/api/kernels/", "/voila/templates/", "/voila/static/", "/voila/api/", "/voila/labextensions/", "/log")
FOREIGN_STYLE = re.compile(r'<link rel="stylesheet" href="https://[^>]*>')
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # of voila's page, and of anywidget's modules
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss: data: blob:",
        "frame-ancestors 'none'",
    )
)
"""The page may call this server only."""


class Page(TornadoVoilaHandler):  # type: ignore[misc]
    """The one page there is. A token in its address is taken out once it has let the visitor in; a theme stays."""

    @authenticated
    async def get(self, path: str = "") -> None:
        theme = self.get_query_argument("theme", "")
        if theme not in ("", *THEMES):
            raise HTTPError(400, reason=f"The theme is {' or '.join(THEMES)}")
        if self.get_query_argument("token", ""):
            self.redirect(f"{self.base_url}?theme={theme}" if theme else self.base_url)
            return
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        async for html in self.get_generator(path=path):
            self.write(FOREIGN_STYLE.sub("", html))
            self.flush()


class ConsoleServer(Voila):  # type: ignore[misc]
    """Voila, as a server of our page alone."""

    ready: Callable[[int], None]
    """Called with the port once requests are answered."""

    def init_handlers(self) -> list[Any]:
        """Voila's, without those of folders and files; the kernels' are their visitors' own."""
        handlers: list[Any] = []
        for pattern, handler, *options in super().init_handlers():
            if handler is TornadoVoilaHandler:
                handlers.append((rf"{re.escape(self.server_url)}()", Page, *options))
            elif any(part in pattern for part in NEEDED):
                handlers.append((pattern, _guarded(pattern, handler), *options))
        return handlers

    def listen(self) -> None:
        """Serve until SIGINT or SIGTERM; then end every kernel. Raises ConfigError where the port is taken."""
        try:
            sockets = bind_sockets(self.port, self.ip)
        except OSError as error:
            self.stop()
            problem = f"cannot listen on {self.ip}:{self.port} ({error.strerror}); --port 0 takes any free one"
            raise ConfigError(problem) from None
        HTTPServer(self.app).add_sockets(sockets)
        self.ioloop = IOLoop.current()
        loop: asyncio.AbstractEventLoop = self.ioloop.asyncio_loop  # type: ignore[attr-defined]
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ioloop.stop)
        try:
            self.ready(sockets[0].getsockname()[1])
            self.ioloop.start()
        finally:
            self.stop()

    def stop(self) -> None:
        run_sync(self.kernel_manager.shutdown_all)()
        shutil.rmtree(self.connection_dir, ignore_errors=True)


def _guarded(pattern: str, handler: type[RequestHandler]) -> type[RequestHandler]:
    if "/shutdown/" in pattern:
        return owned_beacon(handler)
    return owned(handler) if "kernel_id" in pattern else handler


def serve(
    environments: Environments,
    visitors: Visitors,
    announce: Callable[[int], None],
    *,
    host: str,
    port: int,
    theme: str,
    visitors_max: int,
    idle_s: int,
) -> None:
    """Serve the page until a signal; no kernel outlives this. announce: called with the port once it answers.

    idle_s: a kernel without a visitor is ended after so many seconds. Raises ConfigError.
    """

    def environment(visitor: str) -> dict[str, str]:
        caller = visitors.caller(visitor)
        if caller is None:
            raise HTTPError(403)
        return environments.of(caller)

    kernels = {"environment": staticmethod(environment), "visitors_max": visitors_max, "folder": str(Path.cwd())}
    config = Config(
        {
            "VoilaConfiguration": {
                "theme": theme,
                "preheat_kernel": False,
                "show_tracebacks": False,
                "allow_template_override": "NO",
                "allow_theme_override": "YES",
                "extension_allowlist": FRONT_END,
                "prelaunch_hook": note_visitor,
                "multi_kernel_manager_class": type("VisitorKernels", (Kernels,), kernels),
            },
            "KernelRestarter": {"restart_limit": 0},  # a page whose process died has nothing to do with a new one
            "MappingKernelManager": {"cull_idle_timeout": idle_s, "cull_interval": max(1, idle_s // 5)},
        }
    )
    server = ConsoleServer(
        config=config,
        config_file_paths=[],  # a voila.py in the folder that this is started in would be run
        notebook_path=str(PAGE),
        root_dir=str(PAGE.parent),
        ip=host,
        port=port,
        open_browser=False,
        identity_provider_class=type("VisitorIdentities", (Identities,), {"visitors": visitors}),
        tornado_settings={
            "ws_ping_interval": PING_MS,
            "ws_ping_timeout": PING_MS,
            "log_function": lambda _: None,  # it would log tokens
            "cookie_options": {"samesite": "Lax"},
        },
    )
    server.ready = announce
    server.initialize(argv=[])
    server.log_level = "ERROR"
    server.start()
