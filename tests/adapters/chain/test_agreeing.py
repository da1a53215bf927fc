"""Two nodes on one chain, of which one lags, lies or is down: money is held up by that, and never moved."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.chain.agreeing import AgreeingChain
from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorization, Settlement
from gpuagent.core.ports import Open, Void
from gpuagent.errors import ChainError, ChainMismatch, ConfigError
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE
from tests.conftest import Told
from tests.support.other_payer import Purse
from tests.support.rpc_proxy import RpcProxy
from tests.support.world import World

UNUSED = "0x" + "0" * 64


@pytest.fixture
def purse(world: World) -> Purse:
    return Purse(world)


@pytest.fixture
def other(world: World) -> Iterator[RpcProxy]:
    """The second node."""
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as proxy:
        yield proxy


def both(world: World, other: RpcProxy) -> dict[str, str]:
    return {**world.environment, "CHAIN_RPC_URL": f"{world.environment['CHAIN_RPC_URL']}, {other.url}"}


@pytest.fixture(params=["second", "first"])
def chain(world: World, other: RpcProxy, request: pytest.FixtureRequest) -> Iterator[AgreeingChain]:
    """Both nodes, the doubtful one second or first: no order of them may matter."""
    urls = [world.environment["CHAIN_RPC_URL"], other.url]
    if request.param == "first":
        urls.reverse()
    nodes = [EvmChain(url, world.ports.wallet.token, deadline_s=5) for url in urls]
    with closing(AgreeingChain(nodes)) as chain:
        yield chain


def says_unused(params: list[Any], true: Any) -> Any:
    return UNUSED if params[0]["data"].startswith(AUTHORIZATION_STATE) else true


def says_used(params: list[Any], true: Any) -> Any:
    return UNUSED[:-1] + "1" if params[0]["data"].startswith(AUTHORIZATION_STATE) else true


def later(seconds: int) -> Any:
    """Blocks that claim to be so much later."""
    return lambda _, block: {**block, "timestamp": hex(int(block["timestamp"], 16) + seconds)}


def undecided(chain: AgreeingChain, authorization: Authorization) -> Open:
    """What the nodes say of it together, which is neither settled nor void."""
    outcome = chain.outcome(authorization)
    assert isinstance(outcome, Open)
    return outcome


def test_honest_nodes_agree(world: World, purse: Purse, chain: AgreeingChain) -> None:
    chain.check()
    authorization = purse.authorize()
    assert chain.head(purse.account.address).balance == world.chain.head(purse.account.address).balance
    assert chain.outcome(authorization) == world.chain.outcome(authorization)
    assert chain.spent(authorization.payer, [authorization.nonce]) == ()
    purse.settle(authorization)
    assert isinstance(chain.outcome(authorization), Settlement)
    assert chain.outcome(authorization) == world.chain.outcome(authorization)
    assert chain.spent(authorization.payer, [authorization.nonce]) == (authorization.nonce,)
    assert len(chain.transfers(authorization.payer, authorization.from_block)) == 1


def test_a_payment_that_one_node_does_not_see_yet_is_held(
    world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy
) -> None:
    world.market.rpc("anvil_mine", "0x8")  # so that a lag of some blocks is no long time
    authorization = purse.authorize()
    purse.settle(authorization)
    other.lag(4)
    assert undecided(chain, authorization).used
    assert chain.spent(authorization.payer, [authorization.nonce]) == (authorization.nonce,)
    assert chain.transfers(authorization.payer, authorization.from_block) == ()
    other.honest()
    assert isinstance(chain.outcome(authorization), Settlement)


def test_an_expiry_that_one_node_invents_releases_nothing(purse: Purse, chain: AgreeingChain, other: RpcProxy) -> None:
    authorization = purse.authorize()
    other.lie("eth_getBlockByNumber", later(200))
    assert undecided(chain, authorization).used, "nor is it sent any more"
    purse.settle(authorization)
    with pytest.raises(ChainMismatch):
        chain.outcome(authorization)
    other.honest()
    assert isinstance(chain.outcome(authorization), Settlement)


def test_the_latest_time_counts_for_sending(purse: Purse, chain: AgreeingChain, other: RpcProxy) -> None:
    authorization = purse.authorize()
    other.lie("eth_getBlockByNumber", later(100))
    outcome = undecided(chain, authorization)
    assert authorization.valid_before - outcome.now <= 20
    assert not outcome.used


def test_a_payment_that_one_node_denies_after_its_expiry_is_an_alarm(
    world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy
) -> None:
    authorization = purse.authorize()
    purse.settle(authorization)
    world.market.pass_time(130)
    other.lie("eth_call", says_unused)
    with pytest.raises(ChainMismatch, match="contradict each other"):
        chain.outcome(authorization)


def test_two_ways_to_be_dead_are_no_contradiction(
    world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy
) -> None:
    authorization = purse.authorize()
    world.market.pass_time(130)
    purse.cancel(authorization)
    other.lag(1)
    assert isinstance(chain.outcome(authorization), Void)


def test_a_node_that_is_down_stops_every_decision(purse: Purse, chain: AgreeingChain, other: RpcProxy) -> None:
    authorization = purse.authorize()
    other.down()
    for ask in (
        chain.check,
        lambda: chain.head(authorization.payer),
        lambda: chain.outcome(authorization),
        lambda: chain.spent(authorization.payer, [authorization.nonce]),
        lambda: chain.transfers(authorization.payer, 0),
    ):
        with pytest.raises(ChainError, match="does not answer"):
            ask()
    other.up()
    assert isinstance(chain.outcome(authorization), Open)


def test_a_head_is_the_most_careful_of_both(world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy) -> None:
    address = purse.account.address
    before = world.chain.head(address)
    world.market.pass_time(10)
    world.market.fund(address, 1)
    newest = world.chain.head(address)
    other.lag(newest.number - before.number)
    found = chain.head(address)
    assert before.number <= found.number < newest.number
    assert before.time <= found.time < newest.time
    assert found.balance == before.balance


@pytest.mark.parametrize("seconds", [400, -400])
def test_nodes_that_are_far_apart_sign_nothing(
    purse: Purse, chain: AgreeingChain, other: RpcProxy, seconds: int
) -> None:
    other.lie("eth_getBlockByNumber", later(seconds))
    with pytest.raises(ChainError, match="s apart: one of them lags"):
        chain.head(purse.account.address)


def test_an_outcome_across_a_long_lag_is_said_not_waited_out(
    world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy
) -> None:
    world.market.pass_time(400)
    authorization = purse.authorize()
    purse.settle(authorization)
    other.lag(3)
    with pytest.raises(ChainError, match="s apart"):
        chain.outcome(authorization)


def test_a_cancellation_goes_through_whichever_node_takes_it(
    world: World, purse: Purse, chain: AgreeingChain, other: RpcProxy
) -> None:
    world.market.rpc("anvil_setBalance", purse.account.address, hex(10**18))
    wallet = LocalWallet(purse.account.key.to_0x_hex(), purse.token)
    first, second = purse.authorize(), purse.authorize(nonce="0x" + "7" * 64)
    other.down()
    world.market.receipt(chain.send(wallet.cancel(first, chain.gas(wallet.address))))
    other.up()
    world.market.receipt(chain.send(wallet.cancel(second, chain.gas(wallet.address))))
    assert "eth_sendRawTransaction" in other.asked
    for authorization in (first, second):
        assert chain.outcome(authorization) == Void("cancelled on chain")


def test_a_transaction_that_no_node_takes_is_said(world: World, purse: Purse, chain: AgreeingChain) -> None:
    world.market.rpc("anvil_setBalance", purse.account.address, hex(10**18))
    wallet = LocalWallet(purse.account.key.to_0x_hex(), purse.token)
    gas = replace(chain.gas(wallet.address), count=0, max_fee=1, priority_fee=1)
    with pytest.raises(ChainError, match="refused"):
        chain.send(wallet.cancel(purse.authorize(), gas))


@pytest.mark.safety("two nodes, one of which denies the payment")
def test_a_run_on_two_nodes_holds_its_payment_while_one_denies_it(world: World, other: RpcProxy, told: Told) -> None:
    with wiring.open_agent(settings.read(both(world, other))) as agent:
        assert isinstance(agent.chain, AgreeingChain)
        ports = replace(agent.ports, clock=world.market.clock)
        doubting = replace(world, agent=replace(agent, ports=ports))
        run = doubting.start()
        other.lie("eth_call", says_unused)
        run = doubting.tick(run)
        assert doubting.books(run).ledger.held == 1_400_000
        assert len(world.transfers()) == 1
        assert doubting.tick(run).jobs == run.jobs
        other.honest()
        run = doubting.finish(run)
        doubting.assert_balanced(run, transfers=1)
    told("held until both say so; then recorded, paid once")


def test_no_run_signs_while_a_node_holds_a_nonce_as_spent(world: World, other: RpcProxy) -> None:
    with wiring.open_agent(settings.read(both(world, other))) as agent:
        doubting = replace(world, agent=agent)
        run = doubting.start()
        other.lie("eth_call", says_used)
        with pytest.raises(ChainMismatch, match="Nothing was signed"):
            doubting.tick(run)
    assert world.market.received(world.ports.wallet.address) == []


@pytest.mark.parametrize("urls", ["{0},", ",{0}", "{0},{0}", "{0}, {0}"])
def test_endpoints_that_cannot_agree(world: World, urls: str) -> None:
    url = world.environment["CHAIN_RPC_URL"]
    with pytest.raises(ConfigError, match="write each node once") as error:
        _ = settings.read({**world.environment, "CHAIN_RPC_URL": urls.format(url)}).rpc_urls
    assert url not in str(error.value)


def test_one_endpoint_is_one_node(world: World) -> None:
    assert isinstance(world.chain, EvmChain)
