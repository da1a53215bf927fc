"""Whom a server of tools works for: its connections, its user, and who calls."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mcp.server.mcpserver import Context

from gpuagent.api import auth
from gpuagent.api.connections import Connections
from gpuagent.api.tokens import Caller
from gpuagent.errors import GpuAgentError
from gpuagent.mcp.secrets import scrubbed, secrets_of
from gpuagent.wire.scrub import Scrubber

CALLER = "gpuagent.caller"
"""Where a request's scope has the caller that it came from."""
LOCAL = auth.LOCAL.name


@dataclass
class Host:
    """A server of tools. local_user: whose runs are started where no token names a caller. tags: of every run."""

    connections: Connections = field(repr=False)
    local_user: str = LOCAL
    tags: tuple[str, ...] = ()
    _variables: tuple[str, ...] = ()
    _scrubber: tuple[dict[str, str], Scrubber] = field(default=({}, Scrubber({})), repr=False)

    def caller(self, ctx: Context) -> str:
        """The token's owner over HTTP, else this machine's user."""
        return self._caller(ctx).name

    def user(self, ctx: Context) -> str:
        """The user of the runs that the caller starts. No argument says it: a user's budget is not left by a name."""
        caller = self._caller(ctx)
        return self.local_user if caller is auth.LOCAL else caller.name  # a token may have the name "local", too

    def check_run(self, ctx: Context, user_id: str) -> None:
        """Raises NotPermitted for another user's run, where the caller may drive its own alone."""
        self._caller(ctx).check_run(user_id)

    def _caller(self, ctx: Context) -> Caller:
        request = ctx.request_context.request
        caller: Caller = auth.LOCAL if request is None else request.scope[CALLER]
        return caller

    def scrub(self, value: Any) -> Any:
        """The JSON value without any secret of the environment, the vendors' tokens included."""
        secrets = secrets_of(self.connections.environ, self._vendor_variables())
        if secrets != self._scrubber[0]:
            self._scrubber = (secrets, Scrubber(secrets))
        return scrubbed(value, self._scrubber[1])

    def _vendor_variables(self) -> tuple[str, ...]:
        """The variables of the vendors' tokens; as last read where the database cannot be, which is then the error that
        is to be told."""
        with suppress(GpuAgentError):
            vendors = self.connections.database.store.vendors()
            self._variables = tuple(vendor.secret_env for vendor in vendors if vendor.secret_env)
        return self._variables
