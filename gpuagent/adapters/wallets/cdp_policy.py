"""The policy for CDP's policy engine that holds a wallet to its vendors. Pure.

CDP reads its rules in order, the first that matches decides, and what none matches is refused:
https://docs.cdp.coinbase.com/policy-engine/overview. It sees the typed data, so it holds payee and amount against this
even if the agent, its database and this machine are taken over.
"""

from collections.abc import Sequence
from typing import Any

from gpuagent.core.model import Token, Vendor
from gpuagent.errors import BadInput
from gpuagent.wire.eip3009 import CANCEL_ABI, CANCEL_TYPES
from gpuagent.wire.x402 import PAYMENT_TYPES

ADDRESSES_MAX = 100
"""CDP takes no more in one condition."""


def cdp_policy(token: Token, payer: str, vendors: Sequence[Vendor], per_payment: int | None) -> dict[str, Any]:
    """Payments of the token to the enabled vendors' pinned payees, none above per_payment (atomic units); cancelling.

    The chain is held to by the token's address, which each has another of. Raises BadInput where there is nothing to
    allow, or no ceiling.
    """
    payees = list(
        dict.fromkeys(vendor.pay_to for vendor in vendors if vendor.enabled and vendor.network == token.network)
    )
    if not payees:
        raise BadInput(f"no enabled vendor is paid on {token.network}: `gpuagent vendor seed FILE` records them")
    if len(payees) > ADDRESSES_MAX:
        raise BadInput(f"CDP allows {ADDRESSES_MAX} payees in one rule, and there are {len(payees)}: disable some")
    if per_payment is None:
        raise BadInput("our own policy has no cap on one payment: `gpuagent policy set --per-payment USD` sets one")
    paying: list[dict[str, Any]] = [
        {"path": "to", "addresses": payees, "operator": "in"},
        {"path": "value", "value": str(per_payment), "operator": "<="},
    ]
    own = [{"path": "authorizer", "addresses": [payer], "operator": "in"}]
    return {
        "scope": "account",
        "description": f"gpuagent pays vendors on {token.network.replace(':', ' ')}",
        "rules": [
            _typed_data(token, PAYMENT_TYPES, paying),
            _typed_data(token, CANCEL_TYPES, own),
            _cancelling(token),
        ],
    }


def _typed_data(token: Token, types: dict[str, list[dict[str, str]]], conditions: list[dict[str, Any]]) -> Any:
    (primary_type,) = types
    return {
        "action": "accept",
        "operation": "signEvmTypedData",
        "criteria": [
            {"type": "evmTypedDataVerifyingContract", "addresses": [token.address], "operator": "in"},
            {
                "type": "evmTypedDataField",
                "types": {"types": types, "primaryType": primary_type},
                "conditions": conditions,
            },
        ],
    }


def _cancelling(token: Token) -> Any:
    """The transaction that hands a cancellation in. It moves no money but its own gas."""
    return {
        "action": "accept",
        "operation": "signEvmTransaction",
        "criteria": [
            {"type": "ethValue", "ethValue": "0", "operator": "=="},
            {"type": "evmAddress", "addresses": [token.address], "operator": "in"},
            {"type": "evmData", "abi": [CANCEL_ABI], "conditions": [{"function": CANCEL_ABI["name"]}]},
        ],
    }
