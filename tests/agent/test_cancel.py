"""cancelAuthorization, on Anvil: an authorization dies before its time, or was spent already; never without gas."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.adapters.wallets.signing import CANCEL_COST_MAX, CANCEL_GAS
from gpuagent.core.model import Settlement
from gpuagent.core.ports.chain import Gas, Void
from gpuagent.errors import ChainError, Refused
from tests.support.other_payer import OtherPayer
from tests.support.world import World

ETH = 10**18


@pytest.fixture
def payer(world: World) -> OtherPayer:
    return OtherPayer(world)


@pytest.fixture
def wallet(payer: OtherPayer) -> LocalWallet:
    """The agent's own wallet of the payer's key, with gas."""
    payer.world.market.rpc("anvil_setBalance", payer.account.address, hex(ETH))
    return LocalWallet(payer.account.key.to_0x_hex(), payer.token)


def test_a_cancelled_authorization_is_void(world: World, payer: OtherPayer, wallet: LocalWallet) -> None:
    authorization = payer.authorize()
    transaction = wallet.cancel(authorization, world.chain.gas(wallet.address))
    digest = world.chain.send(transaction)
    assert world.market.receipt(digest)["status"] == "0x1"
    assert world.chain.outcome(authorization) == Void("cancelled on chain")
    with pytest.raises(AssertionError, match="'status': '0x0'"):
        payer.settle(authorization)


def test_a_payment_that_was_settled_stands(world: World, payer: OtherPayer, wallet: LocalWallet) -> None:
    authorization = payer.authorize()
    payer.settle(authorization)
    settled = world.chain.outcome(authorization)
    digest = world.chain.send(wallet.cancel(authorization, world.chain.gas(wallet.address)))
    assert world.market.receipt(digest)["status"] == "0x0"
    assert isinstance(settled, Settlement)
    assert world.chain.outcome(authorization) == settled


def test_the_limit_is_enough_with_room_for_circles_proxy(world: World, payer: OtherPayer, wallet: LocalWallet) -> None:
    gas = world.chain.gas(wallet.address)
    receipt = world.market.receipt(world.chain.send(wallet.cancel(payer.authorize(), gas)))
    assert int(receipt["gasUsed"], 16) < CANCEL_GAS * 2 // 3
    spent = gas.balance - world.chain.gas(wallet.address).balance
    assert 0 < spent <= CANCEL_GAS * gas.max_fee


def test_sending_again_is_no_error(world: World, payer: OtherPayer, wallet: LocalWallet) -> None:
    transaction = wallet.cancel(payer.authorize(), world.chain.gas(wallet.address))
    world.market.rpc("evm_setAutomine", False)
    try:
        digest = world.chain.send(transaction)
        assert world.chain.gas(wallet.address).count == 1, "pending transactions count"
        assert world.chain.send(transaction) == digest
    finally:
        world.market.rpc("evm_setAutomine", True)
        world.market.rpc("evm_mine")
    assert world.chain.send(transaction) == digest
    assert world.chain.gas(wallet.address).count == 1


def test_a_transaction_that_the_chain_does_not_take_is_said(
    world: World, payer: OtherPayer, wallet: LocalWallet
) -> None:
    gas = world.chain.gas(wallet.address)
    world.market.rpc("anvil_setBalance", wallet.address, "0x0")
    with pytest.raises(ChainError, match="refused"):
        world.chain.send(wallet.cancel(payer.authorize(), gas))


def test_without_gas_nothing_is_signed(world: World, payer: OtherPayer, wallet: LocalWallet) -> None:
    authorization = payer.authorize()
    gas = world.chain.gas(wallet.address)
    cost = CANCEL_GAS * gas.max_fee
    with pytest.raises(Refused, match=r"lacks 0\.000000000000000001 ETH") as refused:
        wallet.cancel(authorization, replace(gas, balance=cost - 1))
    assert f"dies by itself at {authorization.valid_before} (" in str(refused.value)
    wallet.cancel(authorization, replace(gas, balance=cost))
    world.market.rpc("anvil_setBalance", wallet.address, "0x0")
    lacking = f"lacks {(Decimal(cost) / ETH).normalize():f} ETH"
    with pytest.raises(Refused, match=lacking):
        wallet.cancel(authorization, replace(gas, balance=world.chain.gas(wallet.address).balance))


def test_a_node_that_asks_a_fortune_for_gas_is_not_believed(payer: OtherPayer, wallet: LocalWallet) -> None:
    most = CANCEL_COST_MAX // CANCEL_GAS
    wallet.cancel(payer.authorize(), Gas(0, most, 1, ETH))
    with pytest.raises(Refused, match="no chain takes"):
        wallet.cancel(payer.authorize(), Gas(0, most + 1, 1, ETH))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"payer": "0x" + "9" * 40}, "wrong payer"),
        ({"network": "eip155:8453"}, "wrong network"),
        ({"asset": "0x" + "9" * 40}, "wrong asset"),
    ],
)
def test_only_its_own_authorizations(payer: OtherPayer, wallet: LocalWallet, changes: Any, says: str) -> None:
    with pytest.raises(Refused, match=says):
        wallet.cancel(replace(payer.authorize(), **changes), Gas(0, 1, 1, ETH))
