"""The checks that every wallet makes before it signs, wherever its key is, and the call that cancels. Pure.

check_payment() is the pair of agent/guard: it holds in the wallet itself, whatever went wrong before.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gpuagent.core.model import Authorization, Terms, Token
from gpuagent.core.networks import V1_NETWORKS
from gpuagent.core.ports.chain import CANCEL_GAS, Gas
from gpuagent.core.terms import repeats_facts
from gpuagent.errors import Refused
from gpuagent.wire.eip3009 import cancel_call

CANCEL_COST_MAX = 10**16
"""Wei, 0.01 ETH: thousands of times what a cancellation costs on Base. A node that asks more is not believed."""


def check_payment(authorization: Authorization, terms: Terms, address: str, token: Token) -> None:
    """Raises Refused for anything but the wallet's own transfer of its token on the agreed terms.

    The pair of the guard in agent/guard: whatever went wrong before, these never get a signature.
    """
    checks = (
        (authorization.payer == address, "payer"),
        (authorization.network == terms.network == token.network, "network"),
        (authorization.asset == token.address, "asset"),
        (terms.asset.lower() == token.address.lower(), "asset offered"),
        (terms.pay_to.lower() == authorization.payee.lower(), "payee"),
        (terms.amount == str(authorization.amount) and authorization.amount > 0, "amount"),
        (repeats_facts(terms.extra, token), "token domain"),
        (terms.echo.version == 2 or V1_NETWORKS.get(terms.echo.network) == token.network, "name of the network"),
    )
    wrong = [name for holds, name in checks if not holds]
    if wrong:
        raise Refused(f"the wallet does not sign this: wrong {', '.join(wrong)}")


def check_cancel(authorization: Authorization, gas: Gas, address: str, token: Token) -> None:
    """Raises Refused for an authorization of another wallet or token, and when there is no gas to cancel it."""
    checks = (
        (authorization.payer == address, "payer"),
        (authorization.network == token.network, "network"),
        (authorization.asset == token.address, "asset"),
    )
    foreign = [name for holds, name in checks if not holds]
    if foreign:
        raise Refused(f"the wallet does not cancel this: wrong {', '.join(foreign)}")
    dies_at = datetime.fromtimestamp(authorization.valid_before, UTC)
    dies = f"it dies by itself at {authorization.valid_before} ({dies_at:%Y-%m-%d %H:%M:%S} UTC)"
    cost = CANCEL_GAS * gas.max_fee
    if cost > CANCEL_COST_MAX:
        raise Refused(f"the node asks up to {_eth(cost)} to cancel the authorization, which no chain takes: {dies}")
    if gas.balance < cost:
        raise Refused(f"wallet {address} lacks {_eth(cost - gas.balance)} for gas to cancel the authorization: {dies}")


def cancel_transaction(
    authorization: Authorization, gas: Gas, token: Token, signature: tuple[int, int, int]
) -> dict[str, Any]:
    """The unsigned EIP-1559 transaction that cancels. signature: v, r and s of the authorizer's cancel_message()."""
    return {
        "type": 2,
        "chainId": token.chain_id,
        "nonce": gas.count,
        "to": bytes.fromhex(token.address[2:]),
        "value": 0,
        "data": cancel_call(authorization, *signature),
        "gas": CANCEL_GAS,
        "maxFeePerGas": gas.max_fee,
        "maxPriorityFeePerGas": gas.priority_fee,
    }


def domain_of(token: Token) -> dict[str, Any]:
    """The token's EIP-712 domain."""
    return {
        "name": token.name,
        "version": token.version,
        "chainId": token.chain_id,
        "verifyingContract": token.address,
    }


def _eth(wei: int) -> str:
    return f"{Decimal(wei).scaleb(-18).normalize():f} ETH"
