"""The market that is sold on: a chain, the token that is paid with, and who settles."""

from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal

from eth_account import Account as Keys
from web3 import HTTPProvider, Web3

from seller.errors import BadSetting, ChainError, shown
from seller.payments.node import Node, NodeAway, NodeError

DECIMALS = 6
"""Of USDC. Amounts are integers of its smallest unit, prices are Decimals of USD."""
GWEI = 10**9
GAS_PRICE_MAX = 20 * GWEI
"""Wei for a unit of gas: some 400 times what Base asks for, and a settlement for 0.002 ETH."""


@dataclass(frozen=True)
class Account:
    """An account, and its key."""

    address: str
    private_key: str


@dataclass(frozen=True)
class Market:
    """A chain and its token. `facilitator` is our own, or None where the one at `facilitator_url` settles.

    gas_price_max: wei for a unit of gas, above which our own sends nothing.
    """

    rpc_url: str
    network: str
    asset: str
    asset_name: str
    asset_version: str
    facilitator: Account | None
    facilitator_url: str = ""
    gas_price_max: int = GAS_PRICE_MAX

    @property
    def chain_id(self) -> int:
        return int(self.network.removeprefix("eip155:"))


@dataclass(frozen=True)
class Names:
    """What the settings that a market is made of are called, for the errors about them."""

    rpc_url: str = "rpc_url"
    network: str = "network"
    asset: str = "asset"
    pay_to: str = "pay_to"
    key: str = "key"


SETTINGS = Names()


def connect(rpc_url: str) -> Web3:
    return Web3(HTTPProvider(rpc_url))


def to_atomic(usd: Decimal) -> int:
    return int(usd.scaleb(DECIMALS))


def to_usd(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-DECIMALS)


def address(text: str, name: str) -> str:
    """The address with its checksum. Raises BadSetting."""
    if not Web3.is_address(text):
        raise BadSetting(f"{name}={shown(text)}: write an address of 0x and 40 hexadecimal digits")
    return Web3.to_checksum_address(text)


def account(key: str, name: str) -> Account:
    """The account of a private key. Raises BadSetting, which does not repeat it."""
    try:
        return Account(Keys.from_key(key).address, key)
    except ValueError:
        raise BadSetting(f"{name}: write a private key of 64 hexadecimal digits") from None


def check_market(market: Market, names: Names = SETTINGS) -> None:
    """Raises ChainError or BadSetting where no such chain answers, or the token is not on it."""
    with closing(Node(market.rpc_url)) as node:
        try:
            chain_id = int(node.call("eth_chainId"), 16)
            if chain_id != market.chain_id:
                raise BadSetting(f"{names.network}={market.network}: the chain there is eip155:{chain_id}")
            code = node.call("eth_getCode", market.asset, "latest")
        except (NodeAway, NodeError) as error:
            raise ChainError(f"{names.rpc_url}: no chain answers there") from error
    if code == "0x":
        raise BadSetting(f"{names.asset}={market.asset}: no contract is deployed there")
