"""Two nodes on one chain, of which one lags, lies or is down: money is held up by that, and never moved."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.chain.agreeing import AgreeingChain
from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorization, Settlement, Transfer
from gpuagent.core.ports.chain import Node, Open, Void
from gpuagent.core.records import Block, Incoming, Spent
from gpuagent.errors import ChainError, ChainMismatch, ConfigError
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE
from tests.conftest import SafetyNote
from tests.support.clock import turned
from tests.support.factories import PAYEE, PAYER
from tests.support.fixed_node import FixedNode
from tests.support.other_payer import OtherPayer
from tests.support.rpc_proxy import RpcProxy
from tests.support.world import World

UNUSED = "0x" + "0" * 64


@pytest.fixture
def payer(world: World) -> OtherPayer:
    return OtherPayer(world)


@pytest.fixture
def second_node(world: World) -> Iterator[RpcProxy]:
    """The second node."""
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as proxy:
        yield proxy


def both_nodes(world: World, second_node: RpcProxy) -> dict[str, str]:
    return {**world.environment, "CHAIN_RPC_URL": f"{world.environment['CHAIN_RPC_URL']}, {second_node.url}"}


@pytest.fixture(params=["second", "first"])
def chain(world: World, second_node: RpcProxy, request: pytest.FixtureRequest) -> Iterator[AgreeingChain]:
    """Both nodes, the doubtful one second or first: no order of them may matter."""
    urls = [world.environment["CHAIN_RPC_URL"], second_node.url]
    if request.param == "first":
        urls.reverse()
    nodes = [EvmChain(url, world.ports.wallet.token, deadline_s=60) for url in urls]
    with closing(AgreeingChain(nodes)) as chain:
        yield chain


def says_unused(params: list[Any], result: Any) -> Any:
    return UNUSED if params[0]["data"].startswith(AUTHORIZATION_STATE) else result


def says_used(params: list[Any], result: Any) -> Any:
    return UNUSED[:-1] + "1" if params[0]["data"].startswith(AUTHORIZATION_STATE) else result


def later(seconds: int) -> Any:
    """Blocks that claim to be so much later."""
    return lambda _, block: {**block, "timestamp": hex(int(block["timestamp"], 16) + seconds)}


def undecided(chain: AgreeingChain, authorization: Authorization) -> Open:
    """The nodes' common outcome, which is neither settled nor void."""
    outcome = chain.outcome(authorization)
    assert isinstance(outcome, Open)
    return outcome


def test_honest_nodes_agree(world: World, payer: OtherPayer, chain: AgreeingChain) -> None:
    chain.check()
    authorization = payer.authorize()
    assert chain.head(payer.account.address).balance == world.chain.head(payer.account.address).balance
    assert not undecided(chain, authorization).used, "its time is of the newest block, which each node tells anew"
    assert chain.spent(authorization.payer, [authorization.nonce]) == ()
    payer.settle(authorization)
    assert isinstance(chain.outcome(authorization), Settlement)
    assert chain.outcome(authorization) == world.chain.outcome(authorization)
    assert chain.spent(authorization.payer, [authorization.nonce]) == (authorization.nonce,)
    assert len(chain.transfers(authorization.payer, authorization.from_block)) == 1


def test_a_payment_that_one_node_does_not_see_yet_is_held(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    authorization = payer.authorize()
    before = world.chain.head(authorization.payer)
    payer.settle(authorization)
    second_node.stop_at(before.number)
    assert undecided(chain, authorization).used
    assert chain.spent(authorization.payer, [authorization.nonce]) == (authorization.nonce,)
    assert chain.transfers(authorization.payer, authorization.from_block) == ()
    second_node.honest()
    assert isinstance(chain.outcome(authorization), Settlement)


def test_an_expiry_that_one_node_invents_releases_nothing(
    payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    authorization = payer.authorize()
    second_node.lie("eth_getBlockByNumber", later(200))
    assert undecided(chain, authorization).used, "nor is it sent any more"
    payer.settle(authorization)
    with pytest.raises(ChainMismatch):
        chain.outcome(authorization)
    second_node.honest()
    assert isinstance(chain.outcome(authorization), Settlement)


def test_the_latest_time_counts_for_sending(payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy) -> None:
    authorization = payer.authorize()
    second_node.lie("eth_getBlockByNumber", later(100))
    outcome = undecided(chain, authorization)
    assert authorization.valid_before - outcome.now <= 20
    assert not outcome.used


def test_a_payment_that_one_node_denies_after_its_expiry_is_an_alarm(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    authorization = payer.authorize()
    payer.settle(authorization)
    world.market.pass_time(130)
    second_node.lie("eth_call", says_unused)
    assert chain.outcome(authorization) == world.chain.outcome(authorization), "its own history contradicts it"
    second_node.lie("eth_getLogs", lambda *_: [])
    with pytest.raises(ChainMismatch, match="contradict each other"):
        chain.outcome(authorization)


def test_two_ways_to_be_dead_are_no_contradiction(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    authorization = payer.authorize()
    world.market.pass_time(130)
    before = world.chain.head(authorization.payer)
    payer.cancel(authorization)
    second_node.stop_at(before.number)
    assert isinstance(chain.outcome(authorization), Void)


def test_a_node_that_is_down_stops_every_decision(
    payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    authorization = payer.authorize()
    second_node.down()
    for ask in (
        chain.check,
        lambda: chain.head(authorization.payer),
        lambda: chain.outcome(authorization),
        lambda: chain.spent(authorization.payer, [authorization.nonce]),
        lambda: chain.transfers(authorization.payer, 0),
    ):
        with pytest.raises(ChainError, match="does not answer"):
            ask()
    second_node.up()
    assert isinstance(chain.outcome(authorization), Open)


def test_a_head_is_the_most_careful_of_both(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    address = payer.account.address
    before = world.chain.head(address)
    world.market.pass_time(10)
    world.market.fund(address, 1)
    newest = world.chain.head(address)
    second_node.stop_at(before.number)
    head = chain.head(address)
    assert head.number == before.number < newest.number
    assert head.time == before.time < newest.time
    assert head.balance == before.balance


@pytest.mark.parametrize("seconds", [400, -400])
def test_nodes_that_are_far_apart_sign_nothing(
    payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy, seconds: int
) -> None:
    second_node.lie("eth_getBlockByNumber", later(seconds))
    with pytest.raises(ChainError, match="s apart: one of them lags"):
        chain.head(payer.account.address)


def test_an_outcome_across_a_long_lag_is_said_not_waited_out(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    before = world.chain.head(payer.account.address)
    world.market.pass_time(400)
    authorization = payer.authorize()
    payer.settle(authorization)
    second_node.stop_at(before.number)
    with pytest.raises(ChainError, match="s apart"):
        chain.outcome(authorization)


def test_a_cancellation_goes_through_whichever_node_takes_it(
    world: World, payer: OtherPayer, chain: AgreeingChain, second_node: RpcProxy
) -> None:
    world.market.rpc("anvil_setBalance", payer.account.address, hex(10**18))
    wallet = LocalWallet(payer.account.key.to_0x_hex(), payer.token)
    first, second = payer.authorize(), payer.authorize(nonce="0x" + "7" * 64)
    second_node.down()
    world.market.receipt(chain.send(wallet.cancel(first, chain.gas(wallet.address))))
    second_node.up()
    world.market.receipt(chain.send(wallet.cancel(second, chain.gas(wallet.address))))
    assert "eth_sendRawTransaction" in second_node.methods
    for authorization in (first, second):
        assert chain.outcome(authorization) == Void("cancelled on chain")


def test_a_transaction_that_no_node_takes_is_said(world: World, payer: OtherPayer, chain: AgreeingChain) -> None:
    world.market.rpc("anvil_setBalance", payer.account.address, hex(10**18))
    wallet = LocalWallet(payer.account.key.to_0x_hex(), payer.token)
    gas = replace(chain.gas(wallet.address), count=0, max_fee=1, priority_fee=1)
    with pytest.raises(ChainError, match="refused"):
        chain.send(wallet.cancel(payer.authorize(), gas))


def block(number: int, time: int = 0, name: str = "main") -> Block:
    return Block(number, time or 1_000 + number, name)


def agreeing(*nodes: FixedNode) -> AgreeingChain:
    return AgreeingChain(cast("tuple[Node, ...]", nodes))


def events_of(chain: AgreeingChain) -> list[Transfer | Spent]:
    return list(chain.history(PAYER, 0, 9))


PAID, SPENT = Transfer("0x" + "1" * 64, PAYEE, 1_400_000), Spent("0x" + "2" * 64, "0x" + "1" * 64, cancelled=False)


@pytest.mark.safety("two nodes, one of which hides or invents a transfer")
@pytest.mark.parametrize(
    "history",
    [
        pytest.param((), id="all hidden"),
        pytest.param((PAID,), id="the last hidden"),
        pytest.param((SPENT,), id="the first hidden"),
        pytest.param((SPENT, PAID), id="another order"),
        pytest.param((replace(PAID, amount=1), SPENT), id="another amount"),
        pytest.param((replace(PAID, payee=PAYER), SPENT), id="another payee"),
        pytest.param((PAID, replace(SPENT, cancelled=True)), id="cancelled, not used"),
        pytest.param((PAID, SPENT, PAID), id="one invented"),
    ],
)
def test_a_history_that_one_node_alone_shows_is_not_believed(
    history: tuple[Transfer | Spent, ...], safety_note: SafetyNote
) -> None:
    honest, liar = FixedNode({9: block(9)}, (PAID, SPENT)), FixedNode({9: block(9)}, history)
    assert events_of(agreeing(honest, honest)) == [PAID, SPENT]
    for nodes in ((honest, liar), (liar, honest), (honest, honest, liar)):
        with pytest.raises(ChainError, match="different transfers"):
            events_of(agreeing(*nodes))
    safety_note("the books are not judged by either: an error, and no finding")


@pytest.mark.safety("two nodes, one of which invents a transfer into the wallet")
def test_what_comes_in_is_what_all_nodes_show(safety_note: SafetyNote) -> None:
    back = Incoming("0x" + "1" * 64, 0, 9, PAYEE.lower(), PAYER.lower(), 500_000)
    honest, liar = FixedNode({9: block(9)}), FixedNode({9: block(9)}, received=(back,))
    assert list(agreeing(liar, liar).incoming(PAYER, 0, 9)) == [back]
    for nodes in ((honest, liar), (liar, honest)):
        with pytest.raises(ChainError, match="different transfers into"):
            list(agreeing(*nodes).incoming(PAYER, 0, 9))
    safety_note("nothing came back by it: an error, and no refund")


def test_the_final_block_is_the_oldest_that_nodes_near_each_other_name() -> None:
    older, newer = FixedNode({7: block(7)}), FixedNode({7: block(7), 9: block(9)})
    stuck = FixedNode({7: block(7, time=1)})
    assert agreeing(older, newer).final() == agreeing(newer, older).final() == block(7)
    for nodes in ((stuck, newer), (newer, stuck)):
        with pytest.raises(ChainError, match="s apart"):
            agreeing(*nodes).final()


def test_a_block_is_there_when_every_node_has_the_same() -> None:
    whole, pruned = FixedNode({7: block(7), 9: block(9)}), FixedNode({9: block(9)})
    forked = FixedNode({7: block(7, name="fork"), 9: block(9)})
    assert agreeing(whole, whole).block(7) == block(7)
    assert agreeing(whole, pruned).block(7) is agreeing(pruned, whole).block(7) is None
    for nodes in ((whole, forked), (forked, whole), (pruned, whole, forked)):
        with pytest.raises(ChainError, match="on a fork"):
            agreeing(*nodes).block(7)


@pytest.mark.safety("two nodes, one of which denies the payment")
def test_a_run_on_two_nodes_holds_its_payment_while_one_denies_it(
    world: World, second_node: RpcProxy, safety_note: SafetyNote
) -> None:
    with wiring.open_agent(settings.read(both_nodes(world, second_node))) as agent:
        assert isinstance(agent.chain, AgreeingChain)
        doubting = replace(world, agent=turned(agent, world.market.clock))
        run = doubting.start()
        second_node.lie("eth_call", says_unused)
        run = doubting.tick(run)
        assert doubting.books(run).ledger.held == 1_400_000
        assert len(world.transfers()) == 1
        assert doubting.tick(run).jobs == run.jobs
        second_node.honest()
        run = doubting.finish(run)
        doubting.assert_balanced(run, transfers=1)
    safety_note("held until both say so; then recorded, paid once")


def test_no_run_signs_while_a_node_holds_a_nonce_as_spent(world: World, second_node: RpcProxy) -> None:
    with wiring.open_agent(settings.read(both_nodes(world, second_node))) as agent:
        doubting = replace(world, agent=agent)
        run = doubting.start()
        second_node.lie("eth_call", says_used)
        with pytest.raises(ChainMismatch, match="Nothing was signed"):
            doubting.tick(run)
    assert world.market.received_headers(world.ports.wallet.address) == []


@pytest.mark.parametrize("urls", ["{0},", ",{0}", "{0},{0}", "{0}, {0}"])
def test_endpoints_that_cannot_agree(world: World, urls: str) -> None:
    url = world.environment["CHAIN_RPC_URL"]
    with pytest.raises(ConfigError, match="write each node once") as error:
        _ = settings.read({**world.environment, "CHAIN_RPC_URL": urls.format(url)}).rpc_urls
    assert url not in str(error.value)


def test_one_endpoint_is_one_node(world: World) -> None:
    assert isinstance(world.chain, EvmChain)
