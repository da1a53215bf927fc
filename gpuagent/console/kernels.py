"""A kernel for each visitor, which answers that visitor alone; its environment follows from their login."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError, RequestHandler

VISITOR: ContextVar[str] = ContextVar("visitor")
"""The visitor whose page is being made."""
FULL = 503
QUIET = ("--IPKernelApp.log_level=ERROR",)


class Kernels(AsyncMappingKernelManager):
    """The kernels of the page. The class that the server makes of it has the attributes below.

    environment: of a visitor's process. visitors_max: kernels at once, about 100 MB each. folder: where they work.
    """

    environment: Callable[[str], Mapping[str, str]]
    visitors_max: int
    folder: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._owners: dict[str, str] = {}
        self._starting = 0

    def is_of(self, kernel_id: str, visitor: str) -> bool:
        return self._owners.get(kernel_id) == visitor

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        """Start the kernel of VISITOR. Of the environment that voila asks for nothing is taken: it is the server's own.

        Raises HTTPError where there are too many, or the visitor is unknown.
        """
        visitor = VISITOR.get("")
        if not visitor:
            raise HTTPError(403)
        if len(self) + self._starting >= self.visitors_max:  # one that starts is not in len() yet
            raise HTTPError(FULL, reason="Too many visitors: close another page of the console")
        options |= {"path": None, "cwd": self.folder, "env": dict(self.environment(visitor))}
        options["extra_arguments"] = [*options.get("extra_arguments", ()), *QUIET]
        self._starting += 1
        try:
            kernel_id: str = await super().start_kernel(**options)
        finally:
            self._starting -= 1
        self._owners[kernel_id] = visitor
        return kernel_id


def note_visitor(handler: Any, **_: Any) -> None:
    """Voila's hook before a kernel is started."""
    VISITOR.set(handler.current_user.username)


def owned(handler_class: type[RequestHandler]) -> type[RequestHandler]:
    """The handler of a kernel, for the kernel's own visitor; to others there is no such kernel."""

    class Owned(handler_class):  # type: ignore[misc, valid-type]
        async def prepare(self, *args: Any, **kwargs: Any) -> None:
            await super().prepare(*args, **kwargs)
            kernel_id = self.path_kwargs.get("kernel_id") or next(iter(self.path_args), "")
            user = self.current_user
            if not user or not self.kernel_manager.is_of(_text(kernel_id), user.username):
                raise HTTPError(404)

    return Owned


def owned_beacon(handler_class: type[RequestHandler]) -> type[RequestHandler]:
    """As owned(), for the request by which a page that is left ends its kernel: a browser adds nothing to it, so it
    comes without a proof against forgery. It takes the kernel's id, which no other page knows, and ends that alone.
    """

    class Beacon(owned(handler_class)):  # type: ignore[misc]
        def check_xsrf_cookie(self) -> None:
            return None

    return Beacon


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
