"""Rows F7, F8, F10 to F14 and F16: what is around the agent fails, without malice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.chain.agreeing import AgreeingChain
from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.core.model import Authorized, Reserved, Run, Settled, Voided
from gpuagent.core.ports.chain import Chain
from gpuagent.errors import ChainError, ChainMismatch, WalletUnfunded
from gpuagent.tick import step, tick
from gpuagent.wiring.vendors import record_vendors
from tests.conftest import DATABASE
from tests.support.attacks import (
    FIRST,
    LIFE_S,
    SECOND,
    Observed,
    assert_signed,
    assert_unpaid,
    expires,
    finishes,
    gets_its_work,
    held_amount,
    pays_into_silence,
    pays_once,
    settlement_call,
)
from tests.support.clock import turned
from tests.support.evidence import authorized, stored_headers
from tests.support.rpc_proxy import RpcProxy
from tests.support.tcp_proxy import TcpProxy
from tests.support.world import World

TICKERS = 20


@pytest.mark.parametrize("state", ["down", "down for good", "late", "error"])
def test_F07_facilitator_down(world: World, observed: Observed, state: str) -> None:
    """The vendor's facilitator is down, for a while or for good; or it settles, and the vendor hears of it too late.

    Takes every answer for no answer: sends the same bytes until the chain has decided, and signs no others.
    """
    if state in ("late", "error"):
        gets_its_work(
            world,
            pays_once(world, {"late": "receipt_rejects_after_settle", "error": "error_after_settle"}[state]),
            observed,
        )
        return
    run = pays_into_silence(world, "facilitator_down")
    for _ in range(3):
        run = world.tick(run)
    assert_signed(world, run, 1)
    assert held_amount(world, run) == run.jobs[0].quote.amount
    if state == "down":
        gets_its_work(world, run, observed)
        return
    finishes(world, expires(world, run), observed, [SECOND])
    assert_signed(world, run, 2)


def test_F08_settlement_pending(world: World, observed: Observed) -> None:
    """The settlement hangs in the mempool behind a gap in the sender's nonces, and lands long after the answer.

    Holds the amount all the while, whatever its own clock says; then finds itself paid, and signs nothing else.
    """
    run = pays_into_silence(world, "never_settle")
    (header,) = stored_headers(world, run)
    market, sender = world.market, world.market.rpc("eth_accounts")[0]
    ahead = int(market.rpc("eth_getTransactionCount", sender, "latest"), 16) + 1
    call = {"from": sender, "to": market.environment["X402_ASSET"], "data": settlement_call(header)}
    digest = market.rpc("eth_sendTransaction", {**call, "nonce": hex(ahead), "gas": hex(500_000)})
    market.clock.ahead_s += LIFE_S
    for _ in range(3):
        run = world.tick(run)
    market.clock.ahead_s -= LIFE_S
    assert world.transfers() == ()
    assert held_amount(world, run) == run.jobs[0].quote.amount
    market.rpc("eth_sendTransaction", {"from": sender, "to": sender, "nonce": hex(ahead - 1)})  # closes the gap
    assert market.receipt(digest)["status"] == "0x1"
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    gets_its_work(world, run, observed)


@pytest.mark.parametrize("node", ["refuses", "hangs", "lags", "lies"])
def test_F10_chain_down_lagging_or_lying(world: World, observed: Observed, node: str) -> None:
    """The only node refuses or hangs, while a payment expires; or one of two nodes shows old or invented blocks.

    Signs nothing, sends nothing and releases nothing until a node answers, and all nodes agree.
    """
    if node in ("refuses", "hangs"):
        run = outlives_an_outage(world, {"refuses": "refuse", "hangs": "hang"}[node])
        finishes(world, run, observed, [SECOND])
    else:
        gets_its_work(world, outlives_a_doubtful_node(world, node), observed)


def outlives_an_outage(world: World, mode: str) -> Run:
    with (
        TcpProxy(world.environment["CHAIN_RPC_URL"]) as proxy,
        closing(reader(world, proxy.url)) as chain,
        closing(reader(world, proxy.url, deadline_s=1)) as hasty,
    ):
        behind, cut_off = seeing(world, chain), seeing(world, hasty)
        run = step(world.start().run_id, behind.ports)
        proxy.mode = mode
        cannot_tell(cut_off, run)
        assert_unpaid(world, run, amount_held=run.jobs[0].quote.amount)
        proxy.mode = "up"
        world.market.fault(FIRST, "never_settle")
        run = behind.tick(run)
        proxy.mode = mode
        world.market.pass_time(LIFE_S)
        cannot_tell(cut_off, run)
        assert held_amount(world, run) == run.jobs[0].quote.amount
        assert_signed(world, run, 1)
        proxy.mode = "up"
        run = behind.tick(run)
        assert isinstance(run.jobs[0], Voided)
    return run


def outlives_a_doubtful_node(world: World, node: str) -> Run:
    url = world.environment["CHAIN_RPC_URL"]
    with (
        closing(RpcProxy(url)) as doubtful,
        closing(AgreeingChain([reader(world, url), reader(world, doubtful.url)])) as chain,
    ):
        two = seeing(world, chain)
        run = pays_into_silence(two, "settle_late")
        if node == "lies":
            doubtful.lie("eth_getBlockByNumber", later(LIFE_S))
        else:
            doubtful.stop_at(int(world.market.rpc("eth_blockNumber"), 16))
            world.market.heal()
            world.market.control("POST", "settle")
        for _ in range(3):
            run = two.tick(run)
        assert isinstance(run.jobs[0], Authorized)
        assert held_amount(world, run) == run.jobs[0].quote.amount
        doubtful.honest()
        world.market.heal()
        return two.tick(run)


def test_F11_concurrent_ticks(world: World, observed: Observed) -> None:
    """Twenty ticks of one fresh run start at once.

    Lets the first to save win at every step; the others drop what they had, and use what it stored.
    """
    run = world.start()
    together = Barrier(TICKERS)

    def tick_together(_: int) -> Run:
        together.wait()
        return world.tick(run)

    with ThreadPoolExecutor(TICKERS) as pool:
        list(pool.map(tick_together, range(TICKERS)))
    documents = world.reads.documents(run.run_id)
    assert (len(documents["jobs"]), len(documents["payments"]), len(world.transfers())) == (1, 1, 1)
    finishes(world, run, observed, [FIRST])
    assert_signed(world, run, 1)


@pytest.mark.parametrize("fault", ["", "never_settle"], ids=["vendor settles", "vendor never settles"])
@pytest.mark.parametrize("skew_s", [300, -300], ids=["fast", "slow"])
def test_F12_clock_skew(world: World, observed: Observed, skew_s: int, fault: str) -> None:
    """The agent's clock is five minutes fast or slow; an authorization lives for two.

    Takes the end of its life from the chain's clock, and believes in that end only when the chain is past it. So on a
    local chain, whose clock is turned in practice; on others nothing is signed while clocks are two minutes apart.
    """
    world.market.clock.ahead_s += skew_s
    if not fault:
        wallet = world.ports.wallet.address
        before = world.chain.head(wallet).time
        run = world.tick(world.start())
        (header,) = stored_headers(world, run)
        life_s = int(authorized(header)["validBefore"]) - before
        assert 0 < life_s <= world.chain.head(wallet).time - before + world.ports.pace.authorization_s
        gets_its_work(world, run, observed)
    else:
        run = pays_into_silence(world, fault)
        world.market.pass_time(60)
        run = world.tick(run)
        assert held_amount(world, run) == run.jobs[0].quote.amount
        world.market.pass_time(LIFE_S - 60)
        finishes(world, run, observed, [SECOND])
    world.market.clock.ahead_s -= skew_s


def test_F13_two_agents_on_one_wallet(world: World, observed: Observed) -> None:
    """Two agents that know nothing of each other, with a database each, pay from one wallet at the same time.

    Binds each nonce to its run's random id, so theirs never meet; each one's books hold its own payment.
    """
    with ExitStack() as last:
        world.market.empty(f"{DATABASE}_2")
        second = {**world.environment, "MONGODB_DB_NAME": f"{DATABASE}_2"}
        agent = last.enter_context(wiring.open_agent(settings.read(second)))
        record_vendors(agent.database, world.market.vendors)
        agent = turned(agent, world.market.clock)
        worlds = [world, World(world.market, agent, second, world.from_block)]
        runs = [each.start() for each in worlds]
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda each: each[0].tick(each[1]), zip(worlds, runs, strict=True)))
        headers = {header for each, run in zip(worlds, runs, strict=True) for header in stored_headers(each, run)}
        assert headers == set(world.market.received_headers(world.ports.wallet.address))
        assert len({authorized(header)["nonce"] for header in headers}) == 2
        for each, run in zip(worlds, runs, strict=True):
            each.finish(run)
            assert each.books(run).balanced
            assert held_amount(each, run) == 0
        evidence = observed(world, runs[0])
        assert (len(evidence.received), evidence.transfers, evidence.held) == (2, 2, 0)


@pytest.mark.parametrize("lost", ["paid", "paid_and_working", "shifted"])
def test_F14_older_database_restored(world: World, observed: Observed, lost: str) -> None:
    """The database is restored as it was before the run paid; or before one job was dropped and the next one paid.

    Finds nonces of this run spent that its ledger does not know, signs nothing, and asks for the operator; with the
    newer records back, the run goes on.
    """
    run = world.start()
    older = world.market.backup(DATABASE)
    if lost == "shifted":
        world.market.fault(FIRST, "raise_price")
    newer_run = world.tick(run)
    if lost == "paid_and_working":
        world.market.work()
        newer_run = world.tick(run)
    assert isinstance(newer_run.jobs[-1], Settled)
    world.market.heal()
    newer = world.market.backup(DATABASE)
    world.market.restore(DATABASE, older)
    with pytest.raises(ChainMismatch, match="older database"):
        world.tick(run)
    assert len(world.transfers()) == 1
    assert [type(job) for job in world.store.load(run.run_id).jobs] == [Reserved]
    assert stored_headers(world, run) == []
    assert not world.books(run).balanced
    world.market.restore(DATABASE, newer)
    finishes(world, run, observed, [SECOND if lost == "shifted" else FIRST])
    assert_signed(world, run, 1)


@pytest.mark.parametrize("when", ["from the start", "between reserving and signing"])
def test_F16_insufficient_balance(make_world: Callable[..., World], observed: Observed, when: str) -> None:
    """The wallet holds less than the payment, from the start or because another run was faster.

    Looks before it reserves and again before it signs: signs nothing, says so, and goes on once it is funded.
    """
    world = make_world(funds=2_000_000 if when != "from the start" else 1_000_000)
    runs = [world.start()]
    if when != "from the start":
        runs.append(world.start())
        for run in runs:
            step(run.run_id, world.ports)
        world.tick(runs[1])
    before = set(world.market.received_headers(world.ports.wallet.address))
    with pytest.raises(WalletUnfunded, match=r"(has|holds) \d\.\d\d USD"):
        world.tick(runs[0])
    assert set(world.market.received_headers(world.ports.wallet.address)) == before
    assert stored_headers(world, runs[0]) == []
    assert held_amount(world, runs[0]) == (0 if when == "from the start" else 1_400_000)
    world.market.fund(world.ports.wallet.address, 10_000_000)
    runs = [world.finish(run) for run in runs]
    evidence = observed(world, runs)
    assert (len(evidence.stored), evidence.transfers, evidence.held) == (len(runs), len(runs), 0)
    assert evidence.stored == evidence.received
    assert all(world.books(run).balanced for run in runs)


def reader(world: World, url: str, deadline_s: float = 60) -> EvmChain:
    return EvmChain(url, world.ports.wallet.token, deadline_s=deadline_s)


def seeing(world: World, chain: Chain) -> World:
    """The same agent, which sees the chain through this."""
    return replace(world, agent=replace(world.agent, ports=replace(world.ports, chain=chain)))


def later(seconds: int) -> Any:
    """Blocks that claim to be so much later."""
    return lambda _, block: {**block, "timestamp": hex(int(block["timestamp"], 16) + seconds)}


def cannot_tell(world: World, run: Run) -> None:
    with pytest.raises(ChainError, match="does not answer"):
        tick(run.run_id, world.ports)
