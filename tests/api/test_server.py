"""The bounds of the server: half-open requests, connections, and the end under load."""

import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import httpx
from websockets.sync.client import connect

from gpuagent.api.server import STOP_S, UNREAD_S
from tests.support.eventually import eventually
from tests.support.rest_server import READY_S, listening, serving
from tests.support.world import World

HEAD = b"POST /api/agent-tick HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF_OPEN = {
    "nothing": (b"", []),
    "half a line": (b"GET /api/ru", [408]),
    "a head without its end": (HEAD, [408]),
    "a body without its end": (HEAD + b'Content-Length: 100\r\n\r\n{"runId', [408]),
    "chunks without their end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", [408]),
    "a second request without its end": (WHOLE + b"GET /he", [200, 408]),
    "a body that no route reads": (WHOLE[:-2] + b"Content-Length: 9\r\n\r\n", [200]),
}


def test_half_open_requests_are_closed(world: World) -> None:
    """Also one of which a byte comes now and then: the time counts from the first."""
    with serving(world, bounds={"request_s": 0.5}) as served, ExitStack() as stack:
        clients = {name: stack.enter_context(_speaking(served.url, data)) for name, (data, _) in HALF_OPEN.items()}
        dripping = stack.enter_context(_speaking(served.url, b"GET /api/ru"))
        ends_at = time.monotonic() + 60
        while not select.select([dripping], [], [], 0.05)[0]:
            dripping.sendall(b"n")
            assert time.monotonic() < ends_at
        for name, (_, statuses) in HALF_OPEN.items():
            text = _answer(clients[name])
            assert [int(status) for status in re.findall(r"HTTP/1.1 (\d+)", text)] == statuses, (name, text)
            assert ('"code": "too_slow"' in text) == (408 in statuses)
        assert served.get("/api/runs")["runs"] == []


def test_connections_are_bounded(world: World) -> None:
    with serving(world, bounds={"connections_max": 20, "request_s": 60}) as served, ExitStack() as stack:
        idle = [stack.enter_context(_speaking(served.url)) for _ in range(19)]
        assert served.get("/healthz") == {"status": "ok"}  # its connection is the last one, and is kept
        for _ in range(5):
            with _speaking(served.url, WHOLE) as refused:
                text = _answer(refused)
            assert text.startswith("HTTP/1.1 503 ")
            assert '"code": "too_many_connections"' in text
            assert "retry-after: 5" in text.lower()
        idle.pop().close()
        eventually(lambda: httpx.get(f"{served.url}/healthz", timeout=60).status_code == 200)


def test_a_peer_that_vanished_is_noticed() -> None:
    with (
        listening() as listener,
        socket.create_connection(listener.getsockname()) as _,
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if sys.platform == "linux":
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_S * 1000


def test_sigterm_ends_it_under_load(world: World) -> None:
    """Ticks at work whose node is silent, streams, WebSockets, and requests that are half here."""
    with socket.socket() as silent, ExitStack() as stack:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        run_id = world.start().run_id
        node = f"http://127.0.0.1:{silent.getsockname()[1]}"
        server, url = stack.enter_context(_process({**world.environment, "CHAIN_RPC_URL": node}))
        for data, _ in HALF_OPEN.values():
            stack.enter_context(_speaking(url, data))
            stack.enter_context(_speaking(url, WHOLE.replace(b"/healthz", f"/api/runs/{run_id}/events".encode())))
        followed = stack.enter_context(connect(f"{url.replace('http', 'ws')}/api/runs/{run_id}/ws"))
        assert '"snapshot"' in str(followed.recv(60))
        body = b'{"runId": "%s"}' % run_id.encode()
        for _ in range(3):  # one after the other they would wait for half a minute
            stack.enter_context(_speaking(url, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body))
        stack.enter_context(silent.accept()[0])
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=60)
        assert time.monotonic() - began < STOP_S + 15
    assert (server.returncode, "Traceback" in log) == (0, False), log
    assert "stopped with requests under way" in log


@contextmanager
def _process(environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`gpuagent serve`, and its URL."""
    command = [sys.executable, "-m", "gpuagent.cli", "serve", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environ, text=True, **pipes) as server:  # type: ignore[call-overload]
        try:
            assert server.stdout
            assert select.select([server.stdout], [], [], READY_S)[0], "it did not start"
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


@contextmanager
def _speaking(url: str, data: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which only this was sent."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(data)
        yield client


def _answer(client: socket.socket) -> str:
    """All that the server sends until it closes."""
    return b"".join(iter(lambda: client.recv(65536), b"")).decode()
