"""EvmChain's outcome of an authorization, on Anvil with the test token."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.core.model import Settlement
from gpuagent.core.ports.chain import Open, Void
from gpuagent.core.records import Spent
from gpuagent.errors import ChainError, ChainMismatch
from tests.support.factories import TOKEN, authorization
from tests.support.other_payer import OtherPayer
from tests.support.rpc_proxy import RpcProxy
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World


@pytest.fixture
def payer(world: World) -> OtherPayer:
    return OtherPayer(world)


def test_unused_is_open(world: World, payer: OtherPayer) -> None:
    outcome = world.chain.outcome(payer.authorize())
    assert isinstance(outcome, Open)
    assert not outcome.used


def test_paid_is_a_settlement(world: World, payer: OtherPayer) -> None:
    authorization = payer.authorize()
    payer.settle(authorization)
    outcome = world.chain.outcome(authorization)
    assert isinstance(outcome, Settlement)
    (transfer,) = world.chain.transfers(payer.account.address, authorization.from_block)
    assert (transfer.transaction, transfer.amount) == (outcome.transaction, 1_400_000)


def test_cancelled_is_void_though_the_nonce_is_used(world: World, payer: OtherPayer) -> None:
    authorization = payer.authorize()
    payer.cancel(authorization)
    assert world.chain.outcome(authorization) == Void("cancelled on chain")


def test_expired_is_void_by_the_chains_clock(world: World, payer: OtherPayer) -> None:
    authorization = payer.authorize()
    world.market.pass_time(60)
    assert isinstance(world.chain.outcome(authorization), Open)
    world.market.pass_time(70)
    assert world.chain.outcome(authorization) == Void("expired unused")


@pytest.mark.parametrize("changes", [{"amount": 1_400_001}, {"payee": "0x" + "9" * 40}])
def test_a_nonce_spent_on_other_terms_is_an_alarm(world: World, payer: OtherPayer, changes: Any) -> None:
    authorization = payer.authorize()
    payer.settle(authorization)
    with pytest.raises(ChainMismatch):
        world.chain.outcome(replace(authorization, **changes))


@pytest.mark.parametrize("changes", [{"network": "eip155:84532"}, {"asset": "0x" + "9" * 40}])
def test_an_authorization_of_another_network_is_not_judged_here(world: World, payer: OtherPayer, changes: Any) -> None:
    with pytest.raises(ChainMismatch, match="nothing can be said"):
        world.chain.outcome(payer.authorize(valid_before=1, **changes))


@pytest.fixture
def patient_chain(world: World) -> Iterator[EvmChain]:
    world.market.rpc("anvil_mine", hex(120), hex(0))  # so that the token is older than that
    chain = EvmChain(world.environment["CHAIN_RPC_URL"], world.ports.wallet.token, confirmations=100)
    yield chain
    chain.close()


def test_only_a_final_block_decides(world: World, payer: OtherPayer, patient_chain: EvmChain) -> None:
    authorization = payer.authorize()
    payer.settle(authorization)
    outcome = patient_chain.outcome(authorization)
    assert isinstance(outcome, Open)
    assert outcome.used
    world.market.rpc("anvil_mine", hex(120), hex(0))
    assert isinstance(patient_chain.outcome(authorization), Settlement)


def test_an_expired_authorization_is_void_only_once_that_is_final(
    world: World, payer: OtherPayer, patient_chain: EvmChain
) -> None:
    authorization = payer.authorize()
    world.market.pass_time(130)
    assert isinstance(patient_chain.outcome(authorization), Open)
    world.market.rpc("anvil_mine", hex(120), hex(0))
    assert patient_chain.outcome(authorization) == Void("expired unused")


def test_a_settlement_that_a_reorganization_takes_back_is_open_again(world: World, payer: OtherPayer) -> None:
    authorization = payer.authorize()
    snapshot = world.market.rpc("evm_snapshot")
    payer.settle(authorization)
    assert isinstance(world.chain.outcome(authorization), Settlement)
    world.market.rpc("evm_revert", snapshot)
    assert isinstance(world.chain.outcome(authorization), Open)


@pytest.fixture
def proxy(world: World) -> Iterator[RpcProxy]:
    """The node, which may lie."""
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as proxy:
        yield proxy


def test_an_outcome_is_read_at_blocks_that_are_named_by_their_hash(
    payer: OtherPayer, proxy: RpcProxy, connect: Callable[..., EvmChain]
) -> None:
    """A number names another block after a reorganization; a hash that is gone makes the node refuse (EIP-1898)."""
    read_at: list[Any] = []

    def recorded(params: list[Any], result: Any) -> Any:
        read_at.append(params[1])
        return result

    proxy.lie("eth_call", recorded)
    assert isinstance(connect(proxy.url).outcome(payer.authorize()), Open)
    assert read_at
    assert all(set(block) == {"blockHash", "requireCanonical"} and block["requireCanonical"] for block in read_at)


def test_a_receipt_of_another_block_or_a_transfer_of_another_token_is_no_settlement(
    payer: OtherPayer, proxy: RpcProxy, connect: Callable[..., EvmChain]
) -> None:
    authorization, chain = payer.authorize(), connect(proxy.url)
    payer.settle(authorization)
    assert isinstance(chain.outcome(authorization), Settlement)
    proxy.lie("eth_getTransactionReceipt", lambda _, receipt: {**receipt, "blockHash": "0x" + "7" * 64})
    undecided = chain.outcome(authorization)
    assert isinstance(undecided, Open)
    assert undecided.used

    def of_another_token(_: list[Any], receipt: Any) -> Any:
        return {**receipt, "logs": [{**log, "address": "0x" + "9" * 40} for log in receipt["logs"]]}

    proxy.lie("eth_getTransactionReceipt", of_another_token)
    with pytest.raises(ChainMismatch, match="on other terms"):
        chain.outcome(authorization)


@pytest.mark.parametrize("named", ["the payment", "another payment", "a cancellation", "nothing that is there"])
def test_a_named_transaction_is_a_place_to_look_and_no_proof(
    world: World, payer: OtherPayer, proxy: RpcProxy, connect: Callable[..., EvmChain], named: str
) -> None:
    ours, other = payer.authorize(), payer.authorize(nonce="0x" + "7" * 64)
    first = ours.from_block
    payer.settle(ours)
    if named == "a cancellation":
        payer.cancel(other)
    else:
        payer.settle(other)
    (settled, *_), spent = (
        world.chain.transfers(ours.payer, first),
        {
            event.nonce: event.transaction
            for event in world.chain.history(ours.payer, first, world.chain.final().number)
            if isinstance(event, Spent)
        },
    )
    transactions = {"the payment": spent[ours.nonce], "nothing that is there": "0x" + "5" * 64}
    outcome = connect(proxy.url).outcome(ours, transactions.get(named, spent[other.nonce]))
    assert isinstance(outcome, Settlement)
    assert outcome.transaction == settled.transaction == spent[ours.nonce]
    assert ("eth_getLogs" in proxy.methods) == (named != "the payment")  # it was looked for as it always is


def test_a_named_transaction_decides_nothing_before_the_nonce_is_used_or_of_another_block(
    payer: OtherPayer, proxy: RpcProxy, connect: Callable[..., EvmChain]
) -> None:
    ours, other = payer.authorize(), payer.authorize(nonce="0x" + "7" * 64)
    payer.settle(other)
    chain = connect(proxy.url)
    settlement = chain.outcome(other)
    assert isinstance(settlement, Settlement)
    undecided = chain.outcome(ours, settlement.transaction)
    assert isinstance(undecided, Open)
    assert not undecided.used
    proxy.lie("eth_getTransactionReceipt", lambda _, receipt: {**receipt, "blockHash": "0x" + "7" * 64})
    assert isinstance(chain.outcome(other, settlement.transaction), Open)


@pytest.fixture
def connect(world: World) -> Iterator[Callable[..., EvmChain]]:
    chains: list[EvmChain] = []

    def connect(url: str, **changes: str) -> EvmChain:
        chains.append(EvmChain(url, replace(world.ports.wallet.token, **changes), deadline_s=60))
        return chains[-1]

    yield connect
    for chain in chains:
        chain.close()


def test_another_chain_or_token_or_none_is_said(world: World, connect: Callable[..., EvmChain]) -> None:
    url = world.environment["CHAIN_RPC_URL"]
    connect(url).check()
    with pytest.raises(ChainError, match="is chain 31337, not eip155:8453"):
        connect(url, network="eip155:8453").check()
    with pytest.raises(ChainError, match="no token at"):
        connect(url, address="0x" + "9" * 40).check()
    with pytest.raises(ChainError, match="is 'USD Coin' version '2' with 6 decimals, not 'USDC'"):
        connect(url, name="USDC").check()
    with pytest.raises(ChainError, match="does not answer"):
        connect("http://127.0.0.1:1").check()
    with pytest.raises(ChainError, match="no answer that can be read"):
        connect(world.environment["VENDOR_URL"]).check()


@pytest.mark.parametrize("result", [None, {}, [], "zz", 7, "0x", {"number": "0x" + "f" * 40, "timestamp": "0x1"}])
def test_nonsense_from_a_node_is_a_chain_error(scripted_server: ScriptedServer, result: Any) -> None:
    scripted_server.respond_with([{"jsonrpc": "2.0", "id": number, "result": result} for number in range(16)])
    payment = authorization()
    with closing(EvmChain(scripted_server.vendor.endpoint, TOKEN)) as chain:
        for ask in (
            chain.check,
            lambda: chain.head(payment.payer),
            lambda: chain.outcome(payment),
            lambda: chain.transfers(payment.payer, 0),
        ):
            with pytest.raises(ChainError):
                ask()
