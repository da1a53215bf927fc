"""A TCP proxy between the agent and its chain, on a port of this machine, that can cut the connection."""

import select
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

BLOCK = 65_536
LOOK_S = 0.05


class TcpProxy:
    """Forwards to `target` while `mode` is "up"; "refuse" drops every connection, "hang" keeps it and says nothing.

    connections: how many there were.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.mode = "up"
        self._closed = False
        self.connections = 0
        self._forgotten = 0

    def forget(self) -> None:
        """Swallow what is sent over today's connections from now on, as a NAT does; new ones work."""
        self._forgotten = self.connections

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self.connections), daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with client:
            if self.mode == "refuse":
                return
            try:
                with socket.create_connection(self._target) as chain:
                    self._pump(client, chain, number)
            except OSError:
                return  # one end has gone

    def _pump(self, client: socket.socket, chain: socket.socket, number: int) -> None:
        while not self._closed and self.mode != "refuse":
            readable, _, _ = select.select([client, chain], [], [], LOOK_S)
            if self.mode != "up":
                continue  # what was said meanwhile is said late
            for source in readable:
                data = source.recv(BLOCK)
                if not data:
                    return
                if number <= self._forgotten:
                    continue
                (chain if source is client else client).sendall(data)
