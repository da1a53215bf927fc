"""An assistant: the SDK's own client, on the tools of a test's world."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp import Client

from gpuagent.mcp.host import Host
from gpuagent.mcp.server import mcp_server
from tests.support.rest_server import WorldConnections
from tests.support.world import World


class Assistant:
    """Calls tools in memory. environ: variables beside the world's. options: of Host."""

    def __init__(self, world: World, environ: Mapping[str, str] | None = None, **options: Any) -> None:
        connections = WorldConnections(world)
        connections.environ = {**world.environment, **(environ or {})}
        self.host = Host(connections, **options)
        self.server = mcp_server(self.host)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer, which must be no error."""
        result = self.result(tool, **arguments)
        assert not result.is_error, result.content[0].text
        return dict(result.structured_content)

    def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The error: its code and detail."""
        result = self.result(tool, **arguments)
        assert result.is_error, result.structured_content
        return dict(result.structured_content["error"])

    def result(self, tool: str, **arguments: Any) -> Any:
        return self.session(lambda client: client.call_tool(tool, arguments))

    def session(self, conversation: Callable[[Client], Awaitable[Any]]) -> Any:
        return asyncio.run(conversed(Client(self.server), conversation))


async def conversed(client: Client, conversation: Callable[[Client], Awaitable[Any]]) -> Any:
    async with client as connected:
        return await conversation(connected)
