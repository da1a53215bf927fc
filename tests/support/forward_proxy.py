"""A forward proxy on this machine: tunnels by CONNECT, and plain requests; it alone knows where hosts are."""

import select
import socket
import threading
from base64 import b64encode
from collections.abc import Mapping
from typing import Self

BLOCK = 65_536
LOOK_S = 0.05
HEAD_END = b"\r\n\r\n"


class ForwardProxy:
    """hosts: name -> port on this machine. user, password: asked for, unless "". heads: what it could read, in order.

    seen: every byte that passed through it.
    """

    def __init__(self, hosts: Mapping[str, int], user: str = "", password: str = "") -> None:
        self._hosts = hosts
        self._credentials = b64encode(f"{user}:{password}".encode()) if user else b""
        self.heads: list[bytes] = []
        self.seen = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while HEAD_END not in head:
                head += client.recv(BLOCK) or HEAD_END
            self.heads.append(head)
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ", 2)
            if self._credentials and b"proxy-authorization: basic " + self._credentials not in _lowered(head):
                credentials = head.partition(b"Authorization: ")[2][:80]  # as careless proxies do
                client.sendall(b"HTTP/1.1 407 Who are you, %s\r\nContent-Length: 0\r\n\r\n" % credentials)
                return
            name = target.removeprefix(b"http://").split(b"/")[0].split(b":")[0].decode()
            if name not in self._hosts:
                client.sendall(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._hosts[name])) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connected" + HEAD_END)
                else:
                    server.sendall(head)
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                try:
                    data = source.recv(BLOCK)
                    self.seen += data
                    if not data:
                        return
                    (server if source is client else client).sendall(data)
                except OSError:
                    return  # one end has gone


def _lowered(head: bytes) -> bytes:
    """The head with the names of its headers in lower case."""
    lines = (line.partition(b": ") for line in head.split(b"\r\n"))
    return b"\r\n".join(name.lower() + colon + value.replace(b"Basic", b"basic") for name, colon, value in lines)
