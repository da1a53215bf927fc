"""Calls at one worker process of a seller: by connections of which it is known who has accepted them."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil

from tests.support.eventually import eventually
from tests.support.seller_command import SellerProcess

CONNECTIONS_MAX = 200


@contextmanager
def at_each_worker(process: SellerProcess, address: str = "127.0.0.1") -> Iterator[dict[int, httpx.Client]]:
    """A client at this address for each worker, by its process: it keeps its one connection."""
    clients: dict[int, httpx.Client] = {}
    others: list[httpx.Client] = []
    try:
        workers = process.workers()
        while len(clients) < len(workers):
            transport = httpx.HTTPTransport(local_address=address, limits=httpx.Limits(max_connections=1))
            client = httpx.Client(base_url=process.url, transport=transport, trust_env=False, timeout=40)
            others.append(client)
            pid = _worker_of(client, workers)
            if pid not in clients:
                clients[pid] = others.pop()
            assert len(others) < CONNECTIONS_MAX, f"all connections are one worker's: {[*clients]}"
        yield clients
    finally:
        for client in (*others, *clients.values()):
            client.close()


def _worker_of(client: httpx.Client, workers: list[psutil.Process]) -> int:
    """The worker that has accepted the client's connection, which this opens."""
    answer = client.get("/healthz")
    port = answer.extensions["network_stream"].get_extra_info("client_addr")[1]

    def look() -> int | None:
        for worker in workers:
            if any(peer.raddr and peer.raddr.port == port for peer in worker.net_connections("tcp")):
                return worker.pid
        return None

    return eventually(look, otherwise="no worker has the connection")
