"""The HTTP session under CDP's SDK: bounded, and to no other host than the configured one."""

import ssl
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientPayloadError, ClientSession, TCPConnector
from multidict import CIMultiDictProxy

ANSWER_MAX = 256 * 1024
"""Bytes of an answer, unpacked. A signed transaction has less than a thousand."""


@dataclass(frozen=True, slots=True)
class CdpAnswer:
    """An answer that was read whole, in the shape in which the generated client wants it."""

    status: int
    reason: str | None
    headers: CIMultiDictProxy[str]
    body: bytes

    async def read(self) -> bytes:
        return self.body


class CdpSession:
    """A session that follows no redirect, which would take what authenticates us elsewhere, and reads ANSWER_MAX."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        self._ssl_context = ssl_context
        self._session: ClientSession | None = None

    async def request(self, **arguments: Any) -> CdpAnswer:
        """Raises aiohttp's errors, also for an answer that is too long."""
        if self._session is None:  # it belongs to the loop that runs it
            self._session = ClientSession(connector=TCPConnector(ssl=self._ssl_context), trust_env=True)
        async with self._session.request(**arguments, allow_redirects=False) as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > ANSWER_MAX:
                    raise ClientPayloadError(f"an answer of more than {ANSWER_MAX} bytes")
            return CdpAnswer(response.status, response.reason, response.headers, bytes(body))

    async def close(self) -> None:
        if self._session:
            await self._session.close()
