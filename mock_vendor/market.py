"""The market that the vendors sell on: a local chain of our own, or one that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from eth_account import Account as Keys
from web3 import Web3

from mock_vendor import contracts
from mock_vendor.chain import Account, anvil, connect, deploy_usdc, mint
from mock_vendor.errors import BadSetting, ChainError
from mock_vendor.settings import LOCAL_NETWORK, OwnChain, Settings, shown


@dataclass(frozen=True)
class Market:
    """A chain, the asset that is paid with, and the accounts that take part. `payer` is None on a chain not ours.

    `facilitator` is our own, or None where the one at `facilitator_url` settles.
    """

    rpc_url: str
    network: str
    asset: str
    asset_name: str
    asset_version: str
    facilitator: Account | None
    payees: tuple[str, ...]
    payer: Account | None
    facilitator_url: str = ""

    @property
    def chain_id(self) -> int:
        return int(self.network.removeprefix("eip155:"))


@contextmanager
def open_market(settings: Settings) -> Iterator[Market]:
    """The market that the settings ask for. Raises ChainError or BadSetting."""
    if settings.chain is not None:
        yield _own_market(settings.chain)
        return
    # One account each for the token's owner, the payer and the facilitator; the rest are payees.
    with anvil(settings.data_dir, accounts=settings.vendors + 3) as local:
        owner, payer, *payees, facilitator = local.accounts
        asset, fresh = deploy_usdc(local.rpc_url, owner.address)
        if fresh:
            mint(local.rpc_url, asset, payer.address, to_atomic(settings.payer_usdc))
        yield Market(
            rpc_url=local.rpc_url,
            network=LOCAL_NETWORK,
            asset=asset,
            asset_name=contracts.NAME,
            asset_version=contracts.VERSION,
            facilitator=facilitator,
            payees=tuple(account.address for account in payees),
            payer=payer,
        )


def to_atomic(usd: Decimal) -> int:
    return int(usd.scaleb(contracts.DECIMALS))


def to_usd(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-contracts.DECIMALS)


def _own_market(chain: OwnChain) -> Market:
    for name, address in [("X402_ASSET", chain.asset), *(("MOCK_PAY_TO", payee) for payee in chain.pay_to)]:
        if not Web3.is_address(address):
            raise BadSetting(f"{name}={shown(address)}: write an address of 0x and 40 hexadecimal digits")
    market = Market(
        rpc_url=chain.rpc_url,
        network=chain.network,
        asset=Web3.to_checksum_address(chain.asset),
        asset_name=chain.asset_name,
        asset_version=chain.asset_version,
        facilitator=None if chain.facilitator_url else _account(chain.facilitator_key),
        facilitator_url=chain.facilitator_url,
        payees=tuple(Web3.to_checksum_address(payee) for payee in chain.pay_to),
        payer=None,
    )
    _check(market)
    return market


def _account(key: str) -> Account:
    try:
        return Account(Keys.from_key(key).address, key)
    except ValueError:
        raise BadSetting("FACILITATOR_PRIVATE_KEY: write a private key of 64 hexadecimal digits") from None


def _check(market: Market) -> None:
    web3 = connect(market.rpc_url)
    if not web3.is_connected():
        raise ChainError("CHAIN_RPC_URL: no chain answers there")
    if web3.eth.chain_id != market.chain_id:
        raise BadSetting(f"X402_NETWORK={market.network}: the chain there is eip155:{web3.eth.chain_id}")
    if not web3.eth.get_code(Web3.to_checksum_address(market.asset)):
        raise BadSetting(f"X402_ASSET={market.asset}: no contract is deployed there")
