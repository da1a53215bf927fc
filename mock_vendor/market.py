"""The market that the practice vendors sell on: a local chain of our own, or one that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mock_vendor import contracts
from mock_vendor.chain import anvil, deploy_usdc, mint
from mock_vendor.settings import LOCAL_NETWORK, OwnChain, Settings
from seller.payments.market import Account, Market, Names, account, address, check_market, to_atomic

VARIABLES = Names(
    rpc_url="CHAIN_RPC_URL",
    network="X402_NETWORK",
    asset="X402_ASSET",
    pay_to="MOCK_PAY_TO",
    key="FACILITATOR_PRIVATE_KEY",
)


@dataclass(frozen=True)
class PracticeMarket:
    """A market, whom its vendors are paid at, and a buyer with money. `payer` is None on a chain not ours."""

    market: Market
    payees: tuple[str, ...]
    payer: Account | None


@contextmanager
def open_market(settings: Settings) -> Iterator[PracticeMarket]:
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
        market = Market(
            rpc_url=local.rpc_url,
            network=LOCAL_NETWORK,
            asset=asset,
            asset_name=contracts.NAME,
            asset_version=contracts.VERSION,
            facilitator=facilitator,
        )
        yield PracticeMarket(market, tuple(payee.address for payee in payees), payer)


def _own_market(chain: OwnChain) -> PracticeMarket:
    market = Market(
        rpc_url=chain.rpc_url,
        network=chain.network,
        asset=address(chain.asset, VARIABLES.asset),
        asset_name=chain.asset_name,
        asset_version=chain.asset_version,
        facilitator=None if chain.facilitator_url else account(chain.facilitator_key, VARIABLES.key),
        facilitator_url=chain.facilitator_url,
    )
    payees = tuple(address(payee, VARIABLES.pay_to) for payee in chain.pay_to)
    check_market(market, VARIABLES)
    return PracticeMarket(market, payees, None)
