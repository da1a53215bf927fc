"""A vendor that answers one question, and cheaply: each job runs, with the news that it began with.

`python -m benchmarks.poll_vendor` reads that answer from standard input as JSON, prints its port, and ends with its
input.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

NAME = "vendorJobId"


def answers(pattern: bytes) -> type[asyncio.Protocol]:
    class Answers(asyncio.Protocol):
        """HTTP/1.1 on one connection, one request after the other."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport, self._read = transport, b""

        def data_received(self, data: bytes) -> None:
            self._read += data
            while b"\r\n\r\n" in self._read:
                request, _, self._read = self._read.partition(b"\r\n\r\n")
                query = parse_qs(urlsplit(request.split(b" ", 2)[1]).query)
                body = pattern.replace(b"VENDOR_JOB_ID", query[NAME.encode()][0])
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                self._transport.write(head.encode() + body)

    return Answers


async def serve(pattern: bytes) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(answers(pattern), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    answer = json.loads(sys.stdin.readline())
    asyncio.run(serve(json.dumps({**answer, NAME: "VENDOR_JOB_ID"}).encode()))
