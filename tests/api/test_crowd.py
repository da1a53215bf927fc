"""50 clients at once start and tick runs, and cut connections in the middle: nothing is lost, the books balance."""

import json
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import Any

import httpx

from gpuagent.books.sweep import sweep
from gpuagent.core.model import RunStatus
from tests.support.rest_server import Served

CLIENTS = 50
PATIENCE_S = 90
TICKS_MAX = 40


def test_fifty_clients_each_get_one_run_that_is_paid_once(served: Served) -> None:
    served.world.allow(wallet_per_day=None)
    clients = [_Client(served, number) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda client: client.buy(), clients))
        served.world.market.work()  # for all at once: the vendors' clock is one, and quotes lapse by it
        list(pool.map(lambda client: client.finish(), clients))
    runs = [served.world.store.load(client.run_id) for client in clients]
    assert {run.status for run in runs} == {RunStatus.COMPLETED}
    assert len({run.run_id for run in runs}) == CLIENTS
    assert len(served.world.reads.runs(1000)) == CLIENTS  # a start that was cut off and repeated is one run
    for run in runs:
        assert served.world.books(run).balanced
    assert sweep(served.world.chain, served.world.database.ledgers).balanced
    assert len(served.world.transfers()) == CLIENTS
    seconds = [tick_s for client in clients for tick_s in client.ticks_s]
    p95 = quantiles(seconds, n=20)[-1] * 1000
    print(f"\n{CLIENTS} at once: p95 of {len(seconds)} ticks {p95:.0f} ms")


class _Client:
    """Cuts every third connection before the answer, and asks again."""

    def __init__(self, served: Served, number: int) -> None:
        self._served, self._number = served, number
        self._chance = random.Random(number)
        self.run_id = ""
        self.ticks_s: list[float] = []

    def buy(self) -> None:
        order = {"userId": f"u{self._number}", "goal": "Fine-tune tiny-llm", "budgetTotal": 5}
        with httpx.Client(base_url=self._served.url, timeout=PATIENCE_S) as http:
            self.run_id = str(self._post(http, "/api/agent-start", order, f"start-{self._number}")["_id"])
            self._tick_until(http, lambda run: bool(run["settled"]))

    def finish(self) -> None:
        with httpx.Client(base_url=self._served.url, timeout=PATIENCE_S) as http:
            self._tick_until(http, lambda run: run["status"] != "running")

    def _tick_until(self, http: httpx.Client, reached: Callable[[dict[str, Any]], bool]) -> None:
        for _ in range(TICKS_MAX):
            began = time.monotonic()
            key = f"tick-{self._number}-{len(self.ticks_s)}"
            answer = self._post(http, "/api/agent-tick", {"runId": self.run_id}, key)
            self.ticks_s.append(time.monotonic() - began)
            if reached(answer["run"]):
                return
        raise AssertionError(f"run {self.run_id} gets nowhere: {answer}")

    def _post(self, http: httpx.Client, path: str, body: dict[str, Any], key: str) -> Any:
        headers = {"Idempotency-Key": key}
        if self._chance.random() < 1 / 3:
            self._cut(path, body, headers)
        ends_at = time.monotonic() + PATIENCE_S
        while (reply := http.post(path, json=body, headers=headers)).status_code == 409:
            assert reply.json()["code"] == "in_progress", reply.text  # of the connection that was cut
            assert time.monotonic() < ends_at
        assert reply.status_code == 200, reply.text
        return reply.json()

    def _cut(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        host, port = self._served.url.removeprefix("http://").split(":")
        content = json.dumps(body).encode()
        framing = {"Host": f"{host}:{port}", "Content-Type": "application/json", "Content-Length": str(len(content))}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**framing, **headers}.items())]
        with socket.create_connection((host, int(port))) as cut:
            cut.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            if self._chance.random() < 0.5:
                cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # by a reset
