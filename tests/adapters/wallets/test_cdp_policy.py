"""The policy for CDP's engine, held against requests as the wallet makes them, and as a thief would."""

from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.wallets.cdp import _unsigned
from gpuagent.adapters.wallets.cdp_policy import cdp_policy
from gpuagent.adapters.wallets.signing import cancel_transaction
from gpuagent.core.ports.chain import Gas
from gpuagent.wire.eip3009 import CANCEL_TYPES
from gpuagent.wire.x402 import PAYMENT_TYPES
from tests.support.cdp_policy_engine import allows
from tests.support.factories import ASSET, PAYEE, PAYER, TOKEN, VENDOR, authorization

OTHER = "0x" + "9" * 40
VENDORS = (
    VENDOR,
    replace(VENDOR, vendor_id="disabled", pay_to=OTHER, enabled=False),
    replace(VENDOR, vendor_id="elsewhere", pay_to=OTHER, network="eip155:1"),
)
POLICY = cdp_policy(TOKEN, PAYER, VENDORS, 1_400_000)


def typed(types: dict[str, Any], message: dict[str, Any], asset: str = ASSET) -> dict[str, Any]:
    (primary_type,) = types
    return {"domain": {"verifyingContract": asset}, "types": types, "primaryType": primary_type, "message": message}


def payment(to: str = PAYEE, value: int = 1_400_000, asset: str = ASSET) -> dict[str, Any]:
    return typed(PAYMENT_TYPES, {"to": to, "value": str(value)}, asset)


def cancellation(**changes: Any) -> dict[str, str]:
    transaction = cancel_transaction(authorization(), Gas(0, 2, 1, 10**18), TOKEN, (27, 1, 2))
    return {"transaction": _unsigned({**transaction, **changes})}


@pytest.mark.parametrize(
    ("operation", "request_body", "allowed"),
    [
        pytest.param("typed-data", payment(), True, id="a payment"),
        pytest.param("typed-data", payment(value=1_400_001), False, id="above the ceiling"),
        pytest.param("typed-data", payment(to=OTHER), False, id="to a vendor that is disabled, or on another network"),
        pytest.param("typed-data", payment(asset=OTHER), False, id="of another token"),
        pytest.param("typed-data", typed(CANCEL_TYPES, {"authorizer": PAYER}), True, id="a cancellation"),
        pytest.param("typed-data", typed(CANCEL_TYPES, {"authorizer": OTHER}), False, id="of another's payment"),
        pytest.param("typed-data", typed({"Permit": []}, {"to": PAYEE, "value": "1"}), False, id="another type"),
        pytest.param("transaction", cancellation(), True, id="its transaction"),
        pytest.param("transaction", cancellation(value=1), False, id="a transaction that moves coins"),
        pytest.param("transaction", cancellation(to=bytes.fromhex(OTHER[2:])), False, id="to another contract"),
        pytest.param("transaction", cancellation(data="0xa9059cbb" + "0" * 128), False, id="a call of transfer()"),
    ],
)
def test_the_policy_allows_what_the_agent_does_and_nothing_else(
    operation: str, request_body: dict[str, Any], allowed: bool
) -> None:
    assert allows(POLICY, operation, request_body) is allowed
