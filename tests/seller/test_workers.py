"""`python -m seller --workers 2`: two processes sell as one, on a real chain, and neither is missed when killed.

That each job is sold and run once wherever a worker or their parent dies is tests/safety/test_seller_campaign.py.
"""

import hashlib
import secrets
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
from eth_account import Account
from typer.testing import CliRunner

from gpuagent.cli import app
from mock_vendor.chain import rpc
from mock_vendor.market import PracticeMarket
from seller.command import worker_count
from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, new_key
from tests.support.seller_command import KEY, SellerProcess, seller_running, write_config
from tests.support.seller_workers import at_each_worker
from tests.support.work_orders import leaves_no_trace

OFFERS = [
    {"gpu": "A100", "count": 1, "price_per_hour": 1.40},
    {"gpu": "L4", "count": 1, "price_per_hour": 0.70},
    {"gpu": "T4", "count": 60, "price_per_hour": 0.35},
]
LIMITS = {"queue": 60, "per_payer_queue": 120, "requests_per_minute": 1_000, "inputs": "8MB"}
PAYMENTS = 10
SECRET = "hf_held_by_no_single_process"
Params = dict[str, Any]


def order(command: str, gpu: str = "T4", **work: Any) -> Params:
    return {"gpuType": gpu, "maxHours": 1, "workload": {"command": command, **work}}


def waiting(number: int) -> Params:
    """An order that waits behind the first of its kind: it costs a sale, and no process of its own."""
    return order(f"sleep {600 + number}", gpu="A100")


def submit(
    http: httpx.Client, params: Params, header: str | None = None, key: str | None = None, **fields: Any
) -> httpx.Response:
    headers = ({"PAYMENT-SIGNATURE": header} if header else {}) | ({"Idempotency-Key": key} if key else {})
    return http.post("/submit-job", json={"jobParams": params, **fields}, headers=headers)


def status(http: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = http.get("/job-status", params={"vendorJobId": job_id})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def signed(buyer: Buyer, params: Params) -> str:
    challenge = submit(buyer.http, params)
    assert challenge.status_code == 402, challenge.text
    return buyer.payment_for(challenge)


def transactions(practice: PracticeMarket) -> int:
    """What the seller's account has sent, in all: also what was refused on chain."""
    return int(rpc(practice.market.rpc_url, "eth_getTransactionCount", Account.from_key(KEY).address, "latest"), 16)


@pytest.fixture(scope="module")
def pair(practice: PracticeMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SellerProcess]:
    folder = tmp_path_factory.mktemp("workers")
    with seller_running(write_config(folder, practice, offers=OFFERS, limits=LIMITS), practice, workers=2) as process:
        assert psutil.Process(process.child.pid).num_threads() == 1, "a fork of threads may inherit a lock for ever"
        yield process
        workers = process.workers()
    assert process.child.returncode == 0
    assert not [worker for worker in workers if worker.is_running()], "none outlives the parent"
    assert "Traceback" not in process.log.read_text()


@pytest.fixture
def buyer(pair: SellerProcess) -> Iterator[Buyer]:
    buyer = pair.buyer()
    yield buyer
    buyer.close()


@pytest.fixture
def two(pair: SellerProcess) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with at_each_worker(pair) as clients:
        first, second = clients.values()
        yield first, second


@pytest.mark.safety("The same payment comes to two worker processes of a seller at once: one transfer, one job")
def test_one_payment_at_both_workers_at_once_is_one_sale(
    buyer: Buyer, practice: PracticeMarket, two: tuple[httpx.Client, httpx.Client], safety_note: Any
) -> None:
    before = transactions(practice)
    keys = [new_key() if number % 2 else None for number in range(PAYMENTS)]
    headers = [signed(buyer, waiting(number)) for number in range(PAYMENTS)]
    jobs = set()
    with ThreadPoolExecutor(2) as pool:
        for number, (key, header) in enumerate(zip(keys, headers, strict=True)):
            first, second = pool.map(lambda http: submit(http, waiting(number), header, key), two)  # noqa: B023
            assert (first.status_code, second.status_code) == (200, 200), f"{first.text} {second.text}"
            assert first.content == second.content
            assert first.headers["PAYMENT-RESPONSE"] == second.headers["PAYMENT-RESPONSE"]
            jobs.add(first.json()["vendorJobId"])
    assert len(jobs) == PAYMENTS
    assert len([log for log in buyer.transfers() if log.blockNumber > buyer.first_block]) == PAYMENTS
    assert transactions(practice) - before == PAYMENTS, "no settlement was asked for twice, not even in vain"
    safety_note(f"{PAYMENTS} payments, each at both workers at once: as many transactions and jobs, equal answers")


def test_workers_send_from_one_account(
    buyer: Buyer, practice: PracticeMarket, two: tuple[httpx.Client, httpx.Client]
) -> None:
    before = transactions(practice)
    headers = [signed(buyer, waiting(100 + number)) for number in range(PAYMENTS)]
    with ThreadPoolExecutor(PAYMENTS) as pool:
        clients = [two[number % 2] for number in range(PAYMENTS)]
        answers = list(pool.map(submit, clients, [waiting(100 + number) for number in range(PAYMENTS)], headers))
    assert [answer.status_code for answer in answers] == [200] * PAYMENTS, [answer.text for answer in answers]
    assert transactions(practice) - before == PAYMENTS


def test_what_comes_to_one_worker_is_there_at_the_other(
    pair: SellerProcess, buyer: Buyer, two: tuple[httpx.Client, httpx.Client]
) -> None:
    """An input in two halves, the values of secrets, whichever of them dispatches, and the status at either."""
    content = b"half and half"
    sha256, key = hashlib.sha256(content).hexdigest(), new_key()
    place = {"sha256": sha256, "size": len(content)}
    for http, start, piece in ((two[0], 0, content[:5]), (two[1], 5, content[5:])):
        answer = http.put(
            "/job-input", params={**place, "start": start}, content=piece, headers={"Idempotency-Key": key}
        )
        assert answer.json() == {"received": start + len(piece)}, answer.text
    for http in two:
        assert http.get("/job-input", params={"sha256": sha256}, headers={"Idempotency-Key": key}).json()["complete"]
    params = order("cat in; echo; echo ${#TOKEN}", inputs=[{"path": "in", "sha256": sha256}], secrets=["TOKEN"])
    jobs = []
    for number, http in enumerate(two):
        own = key if not number else new_key()
        inline: dict[str, Any] = {"inline": {sha256: "aGFsZiBhbmQgaGFsZg=="} if number else {}}
        challenge = submit(http, params, key=own, **inline)
        assert challenge.status_code == 402, challenge.text
        answer = submit(http, params, buyer.payment_for(challenge), own, secrets={"TOKEN": SECRET}, **inline)
        assert answer.status_code == 200, answer.text
        job = answer.json()["vendorJobId"]
        assert status(two[1 - number], job)["status"] != "failed", "asked at once, where it was not sold"
        jobs.append(job)
    for job in jobs:
        news = eventually(lambda job=job: ended(two, job))  # type: ignore[misc]
        assert news["logs"] == ["half and half", str(len(SECRET))]
    assert leaves_no_trace(pair.config.parent, SECRET)


def ended(two: tuple[httpx.Client, httpx.Client], job: str) -> dict[str, Any] | None:
    """The status of a job that has ended, which is the same at both workers."""
    news = status(two[0], job)
    if news["status"] == "running":
        return None
    assert status(two[1], job) == news
    return news


def test_workers_count_an_address_together(pair: SellerProcess) -> None:
    """By the bytes of its inputs, of an address that is no other test's: they come back in an hour."""
    with at_each_worker(pair, "127.0.0.2") as clients:
        first, second = clients.values()
        assert [put_input(http) for http in (first, first, first, second, first)] == [200, 200, 200, 429, 429]


def put_input(http: httpx.Client) -> int:
    content = secrets.token_bytes(8)
    place = {"sha256": hashlib.sha256(content).hexdigest(), "size": "8"}
    return http.put("/job-input", params=place, content=content, headers={"Idempotency-Key": new_key()}).status_code


@pytest.mark.safety("All workers of a seller are killed: a paid job that waits for its turn keeps its secrets")
def test_what_is_paid_outlives_the_workers(pair: SellerProcess, buyer: Buyer, safety_note: Any) -> None:
    params = order("echo ${#TOKEN}; sleep 600", gpu="L4", secrets=["TOKEN"])
    running = sell(buyer, params)
    eventually(lambda: status(buyer.http, running)["phase"] == "running")
    queued = sell(buyer, params)
    killed = pair.workers()
    for worker in killed:
        worker.kill()
    eventually(lambda: not {*killed} & {*pair.workers()})
    assert retried(buyer, lambda http: status(http, running))["phase"] == "running"
    cancel(buyer, running)
    eventually(lambda: status(buyer.http, queued)["phase"] == "running")
    eventually(lambda: status(buyer.http, queued)["logs"] == [str(len(SECRET))])
    cancel(buyer, queued)
    assert len(pair.workers()) == 2
    safety_note("both workers killed: the running job ran on, the waiting one was started with its secrets")


def cancel(buyer: Buyer, job: str) -> None:
    assert retried(buyer, lambda http: http.post("/job-cancel", json={"vendorJobId": job})).status_code == 200


def sell(buyer: Buyer, params: Params) -> str:
    answer = submit(buyer.http, params, signed(buyer, params), new_key(), secrets={"TOKEN": SECRET})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["vendorJobId"])


def retried(buyer: Buyer, call: Callable[[httpx.Client], Any]) -> Any:
    """The answer to a call whose first connection may be a killed worker's."""

    def attempt() -> list[Any]:
        try:
            return [call(buyer.http)]
        except httpx.TransportError:
            return []

    return eventually(attempt)[0]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "65", "9" * 5000, "", " 2", "2\n", "²"])
def test_a_number_of_workers_that_is_none(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="write a whole number from 1 to 64"):
        worker_count(text)


def test_a_number_of_workers() -> None:
    assert [worker_count(text) for text in ("1", "02", "64")] == [1, 2, 64]
    refused = CliRunner().invoke(app, ["sell", "--workers", "0"])
    assert (refused.exit_code, "--workers" in refused.output) == (2, True)
