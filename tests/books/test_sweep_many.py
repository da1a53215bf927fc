"""`books --all` beside live ticks, over many blocks and many runs, and as a command."""

import json
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from click.testing import Result
from pymongo import MongoClient
from typer.testing import CliRunner

from gpuagent.adapters.chain.evm import LOGS_SPAN, EvmChain
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.ledgers import MongoLedgers
from gpuagent.agent.pay import REORG_MARGIN
from gpuagent.books.findings import Kind
from gpuagent.cli import app
from gpuagent.core.model import Transfer
from gpuagent.core.steps import is_over
from gpuagent.practice import stack
from gpuagent.wire.eip3009 import TRANSFER_TOPIC
from tests.conftest import DATABASE, SafetyNote
from tests.support.books import OTHER_PAYEE, OwnWalletPayer, kinds, pending, sweep_world
from tests.support.factories import PAYER, TOKEN
from tests.support.market import Market
from tests.support.world import World, build_world

SPAN = 25


class CountingChain(EvmChain):
    """Remembers every read. spans: first and last block of each question for logs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reads = 0
        self.spans: list[tuple[int, int]] = []

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        self.reads += len(calls)
        queries = [params[0] for method, params in calls if method == "eth_getLogs"]
        self.spans += [(int(query["fromBlock"], 16), int(query["toBlock"], 16)) for query in queries]
        return super()._batch(*calls)


def counting_chain(world: World, span: int) -> CountingChain:
    return CountingChain(world.environment["CHAIN_RPC_URL"], world.ports.wallet.token, logs_span=span)


class LongChain(EvmChain):
    """A node with a long chain, where every so many blocks there is one transfer."""

    EVERY = 100_000
    calls_made = 0

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        self.calls_made += len(calls)
        ((_, (query,)),) = calls
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        assert last - first < LOGS_SPAN
        blocks = range(-(-first // self.EVERY) * self.EVERY, last + 1, self.EVERY)
        word = "0x" + "1" * 64
        log = {"topics": [TRANSFER_TOPIC, word, word], "data": word}
        return [[{**log, "transactionHash": hex(block)} for block in blocks]]


@pytest.mark.safety("books --all beside live ticks")
def test_beside_live_ticks(world: World, safety_note: SafetyNote) -> None:
    """While many runs are ticked at once nothing ever differs; what is on its way is not a difference."""
    world.market.outcomes("gpu_vendor_1", "0101")
    runs = [world.start() for _ in range(8)]
    sweeps = []
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            ticking = [pool.submit(world.tick, run) for run in runs]
            while not all(future.done() for future in ticking):
                sweeps.append(sweep_world(world))
            if all(is_over(future.result()) for future in ticking):
                break
            world.market.pass_time(3600)  # between ticks: jobs go on, and a planner that waits for a vendor is done
    assert all(is_over(world.store.load(run.run_id)) for run in runs)
    assert len(sweeps) >= 5
    for swept in sweeps:
        assert swept.balanced, swept
        assert set(kinds(swept)) <= {Kind.UNRECORDED}
        unrecorded = swept.moved - swept.settled
        assert 0 <= unrecorded <= 1_750_000 * len(swept.findings)
    last = sweep_world(world)
    assert last.findings == ()
    assert last.transfers >= len(runs)
    assert (last.moved, last.held) == (last.settled, 0)
    safety_note("no difference at any moment; all balanced at the end")


@pytest.fixture
def long_world() -> Iterator[World]:
    """On a chain of its own: Anvil takes the longer for a block the more it has."""
    with (
        stack.start(PORT="0", MOCK_SPEED="1") as running,
        closing(Market(running)) as market,
        build_world(market, DATABASE) as world,
    ):
        yield world


def test_many_blocks_are_read_in_bounded_spans(long_world: World) -> None:
    for _ in range(3):
        long_world.finish(long_world.start())
        long_world.market.rpc("anvil_mine", hex(400), hex(0))
    with closing(counting_chain(long_world, SPAN)) as chain:
        swept = sweep_world(long_world, chain=chain)
    assert (swept.findings, swept.transfers) == ((), 3)
    assert swept.moved == swept.settled
    spans, incoming = chain.spans[: len(chain.spans) // 2], chain.spans[len(chain.spans) // 2 :]
    assert spans == incoming
    assert sum(last - first + 1 for first, last in spans) > 1_200
    assert max(last - first + 1 for first, last in spans) == SPAN
    assert all(before[1] + 1 == after[0] for before, after in pairwise(spans))
    assert chain.reads < len(chain.spans) + 20


def test_a_year_of_blocks_needs_little_memory() -> None:
    """15.7 million blocks, one every two seconds, with a transfer in every hundred-thousandth."""
    year = 15_768_000
    with closing(LongChain("http://127.0.0.1:1", TOKEN)) as chain:
        tracemalloc.start()
        try:
            count = sum(isinstance(event, Transfer) for event in chain.history(PAYER, 0, year))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == year // LongChain.EVERY + 1
    assert chain.calls_made == year // LOGS_SPAN + 1
    assert peak < 1_000_000


def test_nothing_is_lost_or_doubled_at_the_border_of_a_span(world: World) -> None:
    purse = OwnWalletPayer(world)
    for amount in range(1, 7):
        purse.transfer(OTHER_PAYEE, amount)
    last = world.chain.final().number
    url, token, payer = world.environment["CHAIN_RPC_URL"], purse.token, purse.account.address
    for span in (1, 2, 3, 5, 100):
        with closing(EvmChain(url, token, logs_span=span)) as chain:
            assert [transfer.amount for transfer in chain.transfers(payer, world.from_block)] == [1, 2, 3, 4, 5, 6]
            assert list(chain.history(payer, last + 1, last)) == []


def test_blocks_are_read_only_as_they_are_asked_for(world: World) -> None:
    OwnWalletPayer(world).transfer(OTHER_PAYEE, 1)
    world.market.rpc("anvil_mine", hex(10), hex(0))
    with closing(counting_chain(world, 4)) as chain:
        next(chain.history(world.ports.wallet.address, world.from_block, chain.final().number))
        assert len(chain.spans) == 1


def test_many_runs_cost_the_chain_nothing(world: World) -> None:
    run = world.finish(world.start())
    pending(world)
    with closing(counting_chain(world, 2_000)) as chain:
        sweep_world(world, chain=chain)
        reads = chain.reads
        for _ in range(200):
            world.store.create(replace(run, run_id=world.store.new_id(), jobs=(), version=0))
        swept = sweep_world(world, chain=chain)
    assert (swept.findings, swept.transfers, swept.in_flight) == ((), 1, 1)
    assert chain.reads <= 2 * reads + 2


def test_pages_hold_together(world: World) -> None:
    """However small the pages, every document is read once."""
    for _ in range(4):
        world.finish(world.start())
    world.tick(world.start())
    payer, token = world.ports.wallet.address, world.ports.wallet.token
    with closing(Connection(world.environment["MONGODB_URI"], world.environment["MONGODB_DB_NAME"])) as connection:
        whole = MongoLedgers(connection)
        for size in (1, 2, 5):
            paged = MongoLedgers(connection, page=size)
            assert list(paged.runs(payer)) == list(whole.runs(payer))
            assert list(paged.payments(payer, token)) == list(whole.payments(payer, token))
        assert len(list(whole.runs(payer))) == len(list(whole.payments(payer, token))) == 5


# The command.


def gpuagent(world: World, *arguments: str, **environment: str | None) -> Result:
    return CliRunner().invoke(app, arguments, env={**world.environment, "COLUMNS": "80", **environment})


def test_repair_is_asked_for_and_needs_no_key(world: World) -> None:
    run = pending(world)
    world.market.pass_time(200)
    for _ in range(2):
        result = gpuagent(world, "books", "--all", "--json")
        assert result.exit_code == 1
        assert [finding["kind"] for finding in json.loads(result.stdout)["findings"]] == ["stale hold"]
    keyless = {"X402_PRIVATE_KEY": None, "GPU_VENDOR_SECRET": None}
    repaired = gpuagent(world, "books", "--all", "--repair", "--json", **keyless)
    assert repaired.exit_code == 0, repaired.output
    document = json.loads(repaired.stdout)
    assert [(finding["kind"], finding["runId"]) for finding in document["repaired"]] == [("stale hold", run.run_id)]
    assert (document["findings"], document["held"], document["balanced"]) == ([], "0", True)
    again = gpuagent(world, "books", "--all", "--repair")
    assert again.exit_code == 0
    assert "repaired" not in again.output


def test_what_cannot_be_repaired_still_fails(world: World) -> None:
    pending(world)
    OwnWalletPayer(world).transfer(OTHER_PAYEE, 100_000)
    world.market.pass_time(200)
    result = gpuagent(world, "books", "--all", "--repair")
    assert result.exit_code == 1
    screen = " ".join(result.output.split())
    assert "repaired: stale hold" in screen
    assert "unknown transfer: left the wallet without an authorization" in screen
    assert "1 difference" in screen


def test_a_sweep_begins_right_whatever_is_wrong_in_the_ledger(world: World) -> None:
    """A first block of zero is not the whole chain, and an agent whose clock was a day ahead hides no payment."""
    world.market.rpc("anvil_mine", hex(20), hex(0))
    world.market.pass_time(2 * 3600)
    before = world.chain.final().number
    world.finish(world.start())
    world.market.rpc("anvil_mine", hex(2), hex(0))  # or the last block alone, where every search ends, would show it
    with closing(MongoClient(world.environment["MONGODB_URI"], tz_aware=True)) as client:
        database: Any = client[world.environment["MONGODB_DB_NAME"]]
        for collection in (database.runs, database.payments):
            (document,) = collection.find()
            tomorrow = {"createdAt": document["createdAt"] + timedelta(days=1)}
            wrong = tomorrow | ({"fromBlock": 0} if "fromBlock" in document else {})
            collection.update_one({"_id": document["_id"]}, {"$set": wrong})
    with closing(counting_chain(world, SPAN)) as chain:
        swept = sweep_world(world, chain=chain)
    assert (swept.findings, swept.transfers) == ((), 1)
    assert chain.spans[0][0] >= before


def test_from_an_earlier_block(world: World) -> None:
    """Without being told, a sweep begins an hour before the wallet's first run."""
    OwnWalletPayer(world).transfer(OTHER_PAYEE, 100_000)
    world.market.pass_time(2 * 3600)
    world.market.rpc("anvil_mine", hex(REORG_MARGIN + 1), hex(0))
    world.finish(world.start())
    assert gpuagent(world, "books", "--all").exit_code == 0
    earlier = gpuagent(world, "books", "--all", "--from-block", str(world.from_block), "--json")
    assert earlier.exit_code == 1
    assert [finding["kind"] for finding in json.loads(earlier.stdout)["findings"]] == ["unknown transfer"]
