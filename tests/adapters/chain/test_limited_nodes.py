"""Runs, books and doctor on Anvil behind a node with the limits of free tiers, or one that becomes another chain."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result
from pymongo import MongoClient

from gpuagent import settings, wiring
from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorized, Settled, Settlement
from gpuagent.doctor import examine as doctor
from gpuagent.doctor.checks import Check, Status
from gpuagent.errors import ChainError
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE
from tests.conftest import SafetyNote
from tests.support.books import pending, sweep_world
from tests.support.clock import turned
from tests.support.other_payer import OtherPayer
from tests.support.rpc_proxy import RpcProxy
from tests.support.world import World

UNUSED = "0x" + "0" * 64
NO_METHOD = {"code": -32601, "message": "the method is not available on your plan"}
Gpuagent = Callable[..., Result]


@pytest.fixture
def node(world: World) -> Iterator[RpcProxy]:
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as proxy:
        yield proxy


@contextmanager
def behind(world: World, node: RpcProxy) -> Iterator[World]:
    """The world's agent, connected by that node alone."""
    environment = {**world.environment, "CHAIN_RPC_URL": node.url}
    with wiring.open_agent(settings.read(environment)) as agent:
        yield replace(world, agent=turned(agent, world.market.clock), environment=environment)


def limit(world: World, node: RpcProxy, blocks: int = 10, keeps_past: bool = False) -> None:
    """The limits of a free tier, all at once. blocks: in a query for logs."""
    node.limit_logs(blocks)
    node.limit_batches(1)
    node.refuse("eth_getBlockByNumber", lambda params: params[0] in ("safe", "finalized"), NO_METHOD)
    if not keeps_past:
        node.forget_state(world.chain.final().number - 5)
    node.compress("gzip")


def become_another_chain(node: RpcProxy) -> None:
    """A fork, three minutes later, where the nonce is unused."""
    node.lie("eth_chainId", lambda *_: hex(84532))
    node.lie("eth_getBlockByNumber", lambda _, block: {**block, "timestamp": hex(int(block["timestamp"], 16) + 180)})
    node.lie("eth_call", lambda params, word: UNUSED if params[0]["data"].startswith(AUTHORIZATION_STATE) else word)
    node.lie("eth_getLogs", lambda *_: [])


@pytest.mark.safety("a node with logs of 10 blocks, no batches, no past states, compressed answers")
def test_a_payment_through_a_limited_node_is_recorded(world: World, node: RpcProxy, safety_note: SafetyNote) -> None:
    limit(world, node)
    with behind(world, node) as limited:
        run = limited.start()
        world.market.rpc("anvil_mine", hex(25), hex(0))
        run = limited.finish(run)
        limited.assert_balanced(run, transfers=1)
        node.honest()
        limit(world, node, 200)
        swept = sweep_world(limited, chain=limited.chain)
    assert (swept.findings, swept.transfers) == ((), 1)
    safety_note("paid once, recorded by the next tick; books balanced, swept through the same node")


@pytest.mark.parametrize(("way", "from_block"), [("tick", 0), ("repair", 2**40)])
def test_a_payment_that_is_out_already_comes_to_rest(
    world: World, node: RpcProxy, gpuagent: Gpuagent, way: str, from_block: int
) -> None:
    """However wrong the block number that is recorded with it."""
    run = pending(world, "settle_late")
    with closing(MongoClient(world.environment["MONGODB_URI"])) as client:
        payments: Any = client[world.environment["MONGODB_DB_NAME"]].payments
        payments.update_one({"runId": world.payments(run)[0]["runId"]}, {"$set": {"fromBlock": from_block}})
    world.market.heal()
    world.market.control("POST", "settle")
    world.market.rpc("anvil_mine", hex(25), hex(0))
    limit(world, node, 10 if way == "tick" else 200, keeps_past=True)
    if way == "tick":
        with behind(world, node) as limited:
            assert isinstance(limited.tick(run).jobs[0], Settled)
    else:
        result = gpuagent("books", "--all", "--repair", CHAIN_RPC_URL=node.url)
        assert "repaired: unrecorded settlement" in " ".join(result.output.split())
        assert isinstance(world.store.load(run.run_id).jobs[0], Settled)
    assert len(world.transfers()) == 1


@pytest.mark.safety("a node that becomes another chain in the middle of a payment")
def test_nothing_counts_of_a_node_that_becomes_another_chain(
    world: World, node: RpcProxy, safety_note: SafetyNote
) -> None:
    world.market.fault("gpu_vendor_1", "settle_late")
    with behind(world, node) as limited:
        run = limited.tick(limited.start(vendor_ids=("gpu_vendor_1",)))
        assert isinstance(run.jobs[0], Authorized)
        become_another_chain(node)
        authorization, payer = run.jobs[0].authorization, world.ports.wallet.address
        for ask in (
            lambda: limited.chain.outcome(authorization),
            lambda: limited.chain.head(payer),
            lambda: limited.chain.spent(payer, [authorization.nonce]),
            limited.chain.final,
            lambda: limited.chain.block(0),
            lambda: list(limited.chain.history(payer, 0, 10)),
            lambda: limited.chain.gas(payer),
            lambda: sweep_world(limited, chain=limited.chain),
        ):
            with pytest.raises(ChainError, match="is chain 84532, not eip155:31337"):
                ask()
        with pytest.raises(ChainError, match="is chain 84532"):
            limited.tick(run)
        assert world.books(world.store.load(run.run_id)).ledger.held == authorization.amount
        node.honest()
        world.market.heal()
        world.market.control("POST", "settle")
        run = limited.finish(run)
        limited.assert_balanced(run, transfers=1)
    safety_note("held while it lasts; then recorded, paid once")


def test_no_transaction_is_believed_sent_on_another_chain(world: World, node: RpcProxy) -> None:
    payer = OtherPayer(world)
    world.market.rpc("anvil_setBalance", payer.account.address, hex(10**18))
    wallet = LocalWallet(payer.account.key.to_0x_hex(), payer.token)
    transaction = wallet.cancel(payer.authorize(), world.chain.gas(wallet.address))
    with closing(EvmChain(node.url, payer.token)) as chain:
        become_another_chain(node)
        with pytest.raises(ChainError, match="is chain 84532"):
            chain.send(transaction)


def node_check(world: World, node: RpcProxy) -> Check:
    """The doctor's result about the node."""
    environment = {**world.environment, "CHAIN_RPC_URL": node.url}
    return next(check for check in doctor.examine(environment, world.market.clock) if check.name.startswith("node "))


def test_what_a_payment_needs_is_tried_before_there_is_one(world: World, node: RpcProxy) -> None:
    needs = {
        "eth_getTransactionReceipt": "does not show receipts",
        "eth_call": "does not read the token at a block's hash (EIP-1898)",
        "eth_getLogs": "does not show logs (eth_getLogs), not even of one block",
    }
    for method, says in needs.items():
        for status in (200, 403):
            node.honest()
            by_hash = method != "eth_call"
            node.refuse(method, lambda params, every=by_hash: every or isinstance(params[1], dict), NO_METHOD, status)
            with pytest.raises(ChainError) as error, behind(world, node):
                raise AssertionError("the agent is open")
            assert says in str(error.value)
            assert "Name another node in CHAIN_RPC_URL" in str(error.value)
    check = node_check(world, node)
    assert check.status is Status.FAILED
    assert says in check.detail


def test_the_doctor_measures_what_a_node_answers_at_once(world: World, node: RpcProxy) -> None:
    world.market.rpc("anvil_mine", hex(25), hex(0))
    check = node_check(world, node)
    assert (check.status, check.fix) == (Status.OK, "")
    assert "logs of 2,000 blocks at once, 50 calls a request, with past states" in check.detail
    limit(world, node)
    check = node_check(world, node)
    assert check.status is Status.ADVICE
    assert "logs of 10 blocks at once, no batches, without past states" in check.detail
    assert "takes 4,320 requests" in check.detail


def test_logs_are_read_whatever_the_limit_is_called(world: World, node: RpcProxy) -> None:
    """By code and HTTP status, as nodes and gateways have them."""
    purse = OtherPayer(world)
    authorization = purse.authorize(from_block=0)
    purse.settle(authorization)
    last = world.chain.final().number
    for code, status in ((-32000, 200), (-32005, 400), (-32600, 400), (-32602, 200), (-32614, 413), (35, 500)):
        node.honest()
        node.limit_logs(3, code, status)
        with closing(EvmChain(node.url, purse.token, logs_span=100)) as chain:
            assert isinstance(chain.outcome(authorization), Settlement)
            assert len(list(chain.history(purse.account.address, last - 12, last))) == 2
            assert chain.limits().logs_span == 3
