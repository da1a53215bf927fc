"""`gpuagent wallet show|fund-info|policy`, whoever holds the key; the printed CDP policy is a careful one."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent import settings, wiring
from gpuagent.adapters.wallets.cdp_policy import cdp_policy
from gpuagent.core.model import RunStatus
from gpuagent.errors import BadInput, Refused
from tests.support.cdp_server import CdpServer
from tests.support.clock import turned
from tests.support.factories import PAYEE, TOKEN, VENDOR
from tests.support.world import World

Gpuagent = Callable[..., Result]
NO_KEYS = dict.fromkeys(("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE"))


@pytest.fixture
def at_cdp(world: World, cdp: CdpServer) -> dict[str, str | None]:
    """The world's wallet, at CDP."""
    cdp.open_account("payer", world.environment["X402_PRIVATE_KEY"])
    return {**NO_KEYS, **cdp.environment("payer")}


def printed(gpuagent: Gpuagent, environment: dict[str, str | None]) -> dict[str, Any]:
    result = gpuagent("wallet", "policy", "--json", **environment)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_show_says_who_holds_the_key(
    world: World, gpuagent: Gpuagent, cdp: CdpServer, at_cdp: dict[str, str | None]
) -> None:
    text = gpuagent("wallet", "show", **at_cdp).stdout
    assert f"wallet   {world.ports.wallet.address}" in text
    assert "at CDP, with no policy: `gpuagent wallet policy` prints one" in text
    assert "1000.00 USD" in text
    cdp.policy = printed(gpuagent, at_cdp)
    assert "at CDP, policy policy-1" in gpuagent("wallet", "show", **at_cdp).stdout
    wallet = json.loads(gpuagent("wallet", "show", "--json", **at_cdp).stdout)
    assert (wallet["heldBy"], wallet["cdpPolicies"], wallet["balance"]) == ("cdp", ["policy-1"], "1000000000")


def test_fund_info_says_what_to_send_where(world: World, gpuagent: Gpuagent) -> None:
    address = world.ports.wallet.address
    output = gpuagent("wallet", "fund-info", CHAIN_RPC_URL=None).stdout
    for text in (f"to       {address}", "on local (chain 31337)", world.environment["X402_ASSET"], "gpuagent up"):
        assert text in output
    real = {"X402_NETWORK": "base-sepolia", "CHAIN_RPC_URL": None, "X402_ASSET": None}
    output = gpuagent("wallet", "fund-info", **real).stdout
    for text in ("on base-sepolia (chain 84532)", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "faucet.circle.com"):
        assert text in output
    assert json.loads(gpuagent("wallet", "fund-info", "--json", **real).stdout)["chainId"] == 84532


def test_the_policy_is_one_that_cdp_takes(gpuagent: Gpuagent, at_cdp: dict[str, str | None]) -> None:
    """By the API's own schema, which the SDK has, and by the bounds that its reference gives."""
    from cdp.openapi_client.models.create_policy_request import CreatePolicyRequest  # takes seconds

    policy = printed(gpuagent, at_cdp)
    assert len(CreatePolicyRequest.from_dict(policy).rules) == 3
    payee, ceiling = policy["rules"][0]["criteria"][1]["conditions"]
    assert ceiling == {"path": "value", "value": "25000000", "operator": "<="}
    assert re.fullmatch(r"[A-Za-z0-9 ,.]{1,50}", policy["description"])
    assert len(policy["rules"]) <= 10
    payee["operator"] = "among"
    with pytest.raises(ValueError, match="'in', 'not in'"):
        CreatePolicyRequest.from_dict(policy)


def test_a_whole_purchase_passes_the_policy(
    world: World, gpuagent: Gpuagent, cdp: CdpServer, at_cdp: dict[str, str | None]
) -> None:
    cdp.policy = printed(gpuagent, at_cdp)
    environment = {name: value for name, value in {**world.environment, **at_cdp}.items() if value}
    with wiring.open_agent(settings.read(environment)) as agent:
        cdp_world = replace(world, agent=turned(agent, world.market.clock))
        run = cdp_world.finish(cdp_world.start())
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("changed", ["payee", "amount", "asset"])
def test_what_the_policy_does_not_allow_is_refused_by_cdp(
    world: World, gpuagent: Gpuagent, cdp: CdpServer, at_cdp: dict[str, str | None], changed: str
) -> None:
    """As if the agent were hostile: our own checks are bypassed, CDP's hold."""
    policy = printed(gpuagent, at_cdp)
    (vendor_rule, *_) = policy["rules"]
    changes = {
        "payee": lambda: vendor_rule["criteria"][1]["conditions"][0].update(addresses=[PAYEE]),
        "amount": lambda: vendor_rule["criteria"][1]["conditions"][1].update(value="1399999"),
        "asset": lambda: vendor_rule["criteria"][0].update(addresses=[PAYEE]),
    }
    changes[changed]()
    cdp.policy = policy
    environment = {name: value for name, value in {**world.environment, **at_cdp}.items() if value}
    with wiring.open_agent(settings.read(environment)) as agent:
        cdp_world = replace(world, agent=turned(agent, world.market.clock))
        run = cdp_world.start()
        with pytest.raises(Refused, match="refused by policy"):
            cdp_world.tick(run)
    assert world.market.received_headers(world.ports.wallet.address) == []


def test_a_policy_of_nothing_is_not_printed() -> None:
    with pytest.raises(BadInput, match="no enabled vendor is paid on"):
        cdp_policy(TOKEN, PAYEE, [replace(VENDOR, enabled=False)], 1)
    with pytest.raises(BadInput, match="no enabled vendor is paid on"):
        cdp_policy(replace(TOKEN, network="eip155:8453"), PAYEE, [VENDOR], 1)
    with pytest.raises(BadInput, match="--per-payment"):
        cdp_policy(TOKEN, PAYEE, [VENDOR], None)
    many = [replace(VENDOR, pay_to=f"0x{number:040x}") for number in range(101)]
    with pytest.raises(BadInput, match="CDP allows 100 payees"):
        cdp_policy(TOKEN, PAYEE, many, 1)
    assert cdp_policy(TOKEN, PAYEE, [VENDOR, VENDOR], 1)["rules"][0]["criteria"][1]["conditions"][0]["addresses"] == [
        VENDOR.pay_to
    ]


def test_cdp_that_is_set_up_half_is_said(gpuagent: Gpuagent, at_cdp: dict[str, str | None]) -> None:
    for name in ("CDP_API_KEY_ID", "CDP_API_KEY_SECRET", "CDP_WALLET_SECRET", "CDP_ACCOUNT"):
        result = gpuagent("wallet", "show", **{**at_cdp, name: None})
        assert result.exit_code == 2
        assert f"set {name}: " in result.stderr
    result = gpuagent("wallet", "show", **{**at_cdp, "CDP_ACCOUNT": "nobody"})
    assert result.exit_code == 1
    assert "check CDP_ACCOUNT" in result.stderr
