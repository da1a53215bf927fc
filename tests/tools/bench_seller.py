"""What a seller bears: `python -m tests.tools.bench_seller [REQUESTS]`.

200 clients at once ask for quotes, are answered 402, and look at jobs, while 20 jobs are bought at once and run. The
floor, in the same run: /healthz, which does nothing. Prints times, the seller's CPU time and its memory, and what a
sale costs by part; asserts none but that each was answered as it should be. Clients are on the same machine, and their
time is in what is printed. With 0 requests: the sale alone. Last, sales a second of a seller of one worker process and
of two: of jobs that wait behind the first, so that no program of a job runs beside them. Once on this machine's
processors, which buyers and chain use as well; and once with a share of one for each worker, so that all others have
room, and what is seen is whether two workers hinder each other.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil

from seller.runners import Limits, cgroup
from tests.support.mock_buyer import Buyer
from tests.tools.seller_campaign.play import Stage, open_stage

CLIENTS, BUYERS, JOBS, REQUESTS = 200, 4, 20, 10_000
EARLY = 2_000
"""Requests after which memory is looked at first: what grows by then is pools and caches."""
SALES, SALES_AT_ONCE = 120, 16
SHARE, SHARED_SALES = 0.1, 48
"""Of a processor, for each worker, where they are to be what is slow; as in benchmarks/worker.py."""
ROUNDS, WARM_UP = 3, 16
ROOT = Path(__file__).parents[2]
ORDER = {"gpuType": "A100", "maxHours": 1, "workload": {"command": "sleep 5"}}
READY_S = 60.0
Send = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Figures:
    """Of one kind of request: milliseconds of wall time, and the seller's CPU time for each."""

    name: str
    count: int
    p50: float
    p95: float
    cpu: float

    def __str__(self) -> str:
        times = f"p50 {self.p50:6.1f} ms, p95 {self.p95:6.1f} ms"
        return f"{self.name:12} {self.count:6} times: {times}, {self.cpu:5.1f} ms of CPU"


class Bench:
    """A seller under load. sent: how many requests it has had. Its workers' CPU time counts, and not that of jobs.

    keeps: clients keep their connections, each of which stays at the worker that has accepted it.
    """

    def __init__(self, url: str, seller: psutil.Process, workers: int = 1, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self._url, self._seller, self.sent = url, seller, 0
        processes = seller.children() if workers > 1 else [seller]
        self.selling = [process.pid for process in processes]

    def memory(self) -> float:
        """Megabytes that the seller holds."""
        return float(self._seller.memory_info().rss / 10**6)

    def measure(self, name: str, send: Send, count: int, clients: int = CLIENTS, status: int = 200) -> Figures:
        """Sends so many requests, by so many clients at once, each of which waits for its answer."""
        before = self._cpu_s()
        times = asyncio.run(self._send(send, count, clients, status))
        self.sent += count
        cuts = quantiles(times, n=20)
        cpu = (self._cpu_s() - before) / count
        return Figures(name, count, cuts[9] * 1000, cuts[18] * 1000, cpu * 1000)

    async def _send(self, send: Send, count: int, clients: int, status: int) -> list[float]:
        times: list[float] = []
        numbers: Iterator[int] = iter(range(count))
        limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients if self._keeps else 0)
        async with httpx.AsyncClient(base_url=self._url, timeout=60, limits=limits, trust_env=False) as http:

            async def client() -> None:
                for number in numbers:
                    began = time.perf_counter()
                    answer = await send(http, number)
                    times.append(time.perf_counter() - began)
                    assert answer.status_code == status, f"{answer.status_code} {answer.text}"

            await asyncio.gather(*(client() for _ in range(clients)))
        return times

    def _cpu_s(self) -> float:
        return sum(self.used_s())

    def used_s(self) -> list[float]:
        """Seconds of CPU time that each process which sells has used: by its own clock, clock_getcpuclockid(3)."""
        return [time.clock_gettime((~pid << 3) | 2) for pid in self.selling]


def bench(stage: Stage, requests: int, say: Callable[[str], Any]) -> None:
    """Loads a seller, and says what that took."""
    with selling(stage) as (url, process):
        load, before = Bench(url, process), 0.0
        floor = load.measure("/healthz", health, 1_000)
        before = load.memory()
        figures = [load.measure("quote", quote, EARLY // 2), load.measure("unpaid 402", unpaid, EARLY // 2, status=402)]
        early = load.memory()
        with closing(buyer(stage, url)) as payer:
            payments = [sign(payer, number) for number in range(JOBS)]
        job_ids: list[str] = []

        async def pay(http: httpx.AsyncClient, number: int) -> httpx.Response:
            order, header = payments[number]
            answer = await http.post("/submit-job", json=order, headers={"PAYMENT-SIGNATURE": header})
            job_ids.append(answer.json()["vendorJobId"])
            return answer

        async def poll(http: httpx.AsyncClient, number: int) -> httpx.Response:
            return await http.get("/job-status", params={"vendorJobId": job_ids[number % JOBS]})

        figures += [load.measure("paid submit", pay, JOBS, clients=JOBS), load.measure("poll", poll, 2_000)]
        while load.sent < requests:
            load.measure("quote", quote, min(1_000, max(CLIENTS, requests - load.sent)))
        say(f"{floor}\n")
        for figure in figures:
            say(f"{figure}; {figure.p50 / floor.p50:.1f} times /healthz, {figure.cpu / floor.cpu:.1f} times its CPU\n")
        say(
            f"memory of the seller: {before:.0f} MB before, {early:.0f} MB after {EARLY} requests, "
            f"{load.memory():.0f} MB after {load.sent}\n"
        )


def bench_sale(stage: Stage, say: Callable[[str], Any]) -> None:
    """Sells jobs to few buyers, and says what a sale costs: 402, paid order and one status, by process and by part."""
    out = stage.folder / "parts.json"
    with selling(stage, "tests.tools.seller_parts", str(out)) as (url, process):
        load = Bench(url, process)
        floor = load.measure("/healthz", health, 400, clients=BUYERS)
        with closing(buyer(stage, url)) as payer:
            payments = [sign(payer, number) for number in range(JOBS)]
        job_ids: list[str] = []

        async def pay(http: httpx.AsyncClient, number: int) -> httpx.Response:
            order, header = payments[number]
            answer = await http.post("/submit-job", json=order, headers={"PAYMENT-SIGNATURE": header})
            job_ids.append(answer.json()["vendorJobId"])
            return answer

        async def poll(http: httpx.AsyncClient, number: int) -> httpx.Response:
            return await http.get("/job-status", params={"vendorJobId": job_ids[number]})

        steps = [
            load.measure("unpaid 402", unpaid, JOBS, clients=BUYERS, status=402),
            load.measure("paid submit", pay, JOBS, clients=BUYERS),
            load.measure("poll", poll, JOBS, clients=BUYERS),
        ]
    parts = json.loads(out.read_text())
    sale = sum(step.cpu for step in steps)
    say(f"a sale: {sale:.1f} ms of the seller's CPU, {sale / floor.cpu:.1f} times /healthz ({floor.cpu:.2f} ms)\n")
    for step in steps:
        say(f"  {step.name:12} {step.cpu:6.2f} ms\n")
    for part, ms in sorted(parts["ms"].items(), key=lambda item: -item[1]):
        say(f"  of it {part:9} {ms / JOBS:6.2f} ms, {parts['calls'][part] / JOBS:.1f} calls\n")


def bench_workers(stage: Stage, workers: int, share: float, say: Callable[[str], Any]) -> float:
    """Sells jobs that wait for their turn to buyers at once; how many a second.

    share: of a processor, for each worker by a control group of its own, so that they are what is slow; 0: all of it.
    """
    sales = SHARED_SALES if share else SALES
    arguments = ("--workers", str(workers))
    with ExitStack() as groups, selling(stage, "seller", *arguments, gpus=1, queue=sales + WARM_UP) as (url, process):
        load = Bench(url, process, workers, keeps=False)
        with closing(buyer(stage, url)) as payer:
            payments = [sign(payer, number) for number in range(sales + WARM_UP)]

        async def pay(http: httpx.AsyncClient, number: int) -> httpx.Response:
            order, header = payments.pop()
            return await http.post("/submit-job", json=order, headers={"PAYMENT-SIGNATURE": header})

        load.measure("warm up", pay, WARM_UP, clients=SALES_AT_ONCE)
        for pid in load.selling if share else ():
            group = cgroup.make(f"bench-{pid}", Limits(cpus=share, pids=0))
            groups.callback(group.remove)
            assert group.bounds("cpu"), "this user may make no control group here"
            group.enter(pid)
        began, before = time.perf_counter(), load.used_s()
        figures = load.measure("paid submit", pay, sales, clients=SALES_AT_ONCE)
        rate = sales / (time.perf_counter() - began)
        used = [now - then for now, then in zip(load.used_s(), before, strict=True)]
        each = " and ".join(f"{part / sum(used):.0%}" for part in used)
        busy = os.getloadavg()[0]
        say(f"{workers} workers: {rate:.1f} sales a second, load {busy:.1f}: {figures}, of which each bore {each}\n")
    return rate


def sign(payer: Buyer, number: int) -> tuple[dict[str, Any], str]:
    """An order of its own, and a payment for it."""
    order = {"jobParams": {**ORDER, "workload": {**ORDER["workload"], "env": {"NUMBER": str(number)}}}}  # type: ignore[dict-item]
    return order, payer.payment_for(payer.http.post("/submit-job", json=order))


async def health(http: httpx.AsyncClient, _: int) -> httpx.Response:
    return await http.get("/healthz")


async def quote(http: httpx.AsyncClient, _: int) -> httpx.Response:
    return await http.post("/quote", json={"jobType": "job", **ORDER})


async def unpaid(http: httpx.AsyncClient, _: int) -> httpx.Response:
    return await http.post("/submit-job", json={"jobParams": ORDER})


def buyer(stage: Stage, url: str) -> Buyer:
    market, payer = stage.practice.market, stage.practice.payer
    assert payer
    account = {"address": payer.address, "privateKey": payer.private_key}
    chain = {"rpcUrl": market.rpc_url, "asset": market.asset, "payer": account}
    return Buyer({"url": url, "secret": "none is asked for", "chain": chain}, "")


@contextmanager
def selling(
    stage: Stage, module: str = "seller", *arguments: str, gpus: int = JOBS, queue: int = JOBS
) -> Iterator[tuple[str, psutil.Process]]:
    """`python -m seller`, or what runs it, and where it is; it ends with the block."""
    stage.configure("1h", gpus=gpus, queue=queue)
    url = f"http://127.0.0.1:{stage.port}"
    command = [sys.executable, "-m", module, *arguments, "--config", stage.config]
    environment = {**psutil.Process().environ(), **stage.environment}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            ends_at = time.monotonic() + READY_S
            while not answers(url):
                assert child.poll() is None, "the seller ended at once"
                assert time.monotonic() < ends_at, f"the seller gave no sign in {READY_S} s"
                time.sleep(0.05)
            yield url, psutil.Process(child.pid)
        finally:
            child.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with open_stage() as practice:
        if requests:
            bench(practice, requests, sys.stdout.write)
        bench_sale(practice, sys.stdout.write)
    for share in (0.0, SHARE):
        sys.stdout.write(f"each with {share:.0%} of a processor:\n" if share else "all on this machine's processors:\n")
        for _ in range(ROUNDS):
            rates = []
            for count in (1, 2):
                with open_stage() as practice:
                    rates.append(bench_workers(practice, count, share, sys.stdout.write))
            sys.stdout.write(f"two sell {rates[1] / rates[0]:.2f} times what one sells\n")
