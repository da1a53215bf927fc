"""Whole purchases on the real chain from every kind of wallet: a key in the environment, in a keystore, at CDP."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from gpuagent import settings, wiring
from gpuagent.adapters.wallets import keystore
from gpuagent.agent.approve import cancel
from gpuagent.core.model import Authorized, Echo, RunStatus, Terms
from gpuagent.core.ports.chain import Gas, Void
from gpuagent.errors import ConfigError, Refused
from tests.support.cdp_server import CdpServer
from tests.support.clock import turned
from tests.support.world import World

PASSWORD = "correct horse battery staple"
OTHER_PAYEE = "0x" + "9" * 40
GAS = Gas(0, 1, 1, 10**18)


@pytest.fixture(params=["key", "keystore", "cdp"])
def environment(request: pytest.FixtureRequest, world: World, tmp_path: Path, cdp: CdpServer) -> dict[str, str]:
    """The world's, with its one key held in this way."""
    variables = dict(world.environment)
    if request.param == "key":
        return variables
    key = variables.pop("X402_PRIVATE_KEY")
    if request.param == "cdp":
        cdp.open_account("payer", key)
        return {**variables, **cdp.environment("payer")}
    sealed = keystore.seal(key, PASSWORD.encode(), scrypt_n=2)
    assert sealed
    keystore.write(tmp_path / "wallet.json", sealed)
    return {**variables, "X402_KEYSTORE": str(tmp_path / "wallet.json"), "X402_KEYSTORE_PASSWORD": PASSWORD}


@pytest.fixture
def paying_world(world: World, environment: dict[str, str]) -> Iterator[World]:
    """The world with its wallet opened in this way, by the variables alone."""
    with wiring.open_agent(settings.read(environment)) as agent:
        agent = turned(agent, world.market.clock)
        yield replace(world, agent=agent, environment=environment)


def signed_with(job: Authorized) -> tuple[Terms, str]:
    """The terms and the identifier in the job's header."""
    content = json.loads(base64.b64decode(job.header))
    offer = content["accepted"]
    terms = Terms(
        offer["scheme"],
        offer["network"],
        offer["asset"],
        offer["amount"],
        offer["payTo"],
        offer["maxTimeoutSeconds"],
        offer["extra"],
        echo=Echo(resource=content["resource"]),
    )
    return terms, content["extensions"]["payment-identifier"]["info"]["id"]


def test_a_whole_purchase(world: World, paying_world: World) -> None:
    assert paying_world.ports.wallet.address == world.ports.wallet.address
    paying_world.market.outcomes("gpu_vendor_1", "0")
    run = paying_world.finish(paying_world.start())
    assert run.status is RunStatus.COMPLETED
    paying_world.assert_balanced(run, transfers=2)


def test_every_wallet_signs_the_same_payment(world: World, paying_world: World) -> None:
    """RFC 6979 on our side and on the stub's: the header is the same to the byte, whoever holds the key."""
    world.market.fault("gpu_vendor_1", "never_settle")
    run = paying_world.tick(paying_world.start())
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    terms, identifier = signed_with(job)
    assert paying_world.ports.wallet.sign(job.authorization, terms, identifier) == job.header
    assert world.ports.wallet.sign(job.authorization, terms, identifier) == job.header
    world.market.heal()
    world.assert_balanced(paying_world.finish(run), transfers=1)


def test_a_cancelled_run_cancels_its_authorization_on_chain(paying_world: World) -> None:
    paying_world.give_gas()
    paying_world.market.fault("gpu_vendor_1", "never_settle")
    run = paying_world.tick(paying_world.start())
    cancel(run.run_id, "Ada", "wrong goal", paying_world.store, paying_world.ports.clock)
    run = paying_world.finish_payments(run)
    authorization = run.jobs[0].authorization  # type: ignore[union-attr]
    assert authorization
    assert paying_world.chain.outcome(authorization) == Void("cancelled on chain")
    paying_world.assert_balanced(run, transfers=0)


def test_without_gas_the_authorization_dies_by_itself(paying_world: World) -> None:
    paying_world.market.fault("gpu_vendor_1", "never_settle")
    run = paying_world.tick(paying_world.start())
    cancel(run.run_id, "Ada", "wrong goal", paying_world.store, paying_world.ports.clock)
    run = paying_world.tick(run)
    assert isinstance(run.jobs[0], Authorized)
    assert "for gas to cancel" in run.jobs[0].cancellation
    paying_world.market.pass_time(121)
    paying_world.assert_balanced(paying_world.tick(run), transfers=0)


@pytest.mark.parametrize(
    "changes",
    [{"payee": OTHER_PAYEE}, {"payer": OTHER_PAYEE}, {"amount": 1}, {"asset": OTHER_PAYEE}, {"network": "eip155:8453"}],
)
def test_nothing_but_the_agreed_transfer_is_signed(
    paying_world: World, cdp: CdpServer, changes: dict[str, Any]
) -> None:
    paying_world.market.fault("gpu_vendor_1", "never_settle")
    (job,) = paying_world.tick(paying_world.start()).jobs
    assert isinstance(job, Authorized)
    terms, _ = signed_with(job)
    signed = len(cdp.bodies)
    altered = replace(job.authorization, **changes)
    with pytest.raises(Refused, match="does not sign this"):
        paying_world.ports.wallet.sign(altered, terms, "")
    if not changes.keys() & {"payee", "amount"}:
        with pytest.raises(Refused, match="does not cancel this"):
            paying_world.ports.wallet.cancel(altered, GAS)
    assert len(cdp.bodies) == signed, "nor is anybody asked to"


def test_no_wallet_shows_what_it_holds(paying_world: World, environment: dict[str, str]) -> None:
    environment_settings = settings.read(environment)
    secrets = [PASSWORD, *(value for name, value in environment.items() if "SECRET" in name or "KEY" in name)]
    for holder in (
        environment_settings,
        wiring.key_source(environment_settings),
        paying_world.ports.wallet,
        paying_world.agent,
    ):
        assert not [secret for secret in secrets if secret in f"{holder!r} {holder!s}" and len(secret) > 12]


RIVALS = {
    "key and keystore": ("X402_PRIVATE_KEY", "X402_KEYSTORE"),
    "old key and CDP": ("EVM_PRIVATE_KEY", "CDP_WALLET_SECRET"),
    "key and CDP": ("X402_PRIVATE_KEY", "CDP_ACCOUNT"),
    "keystore and CDP": ("X402_KEYSTORE", "CDP_WALLET_SECRET"),
}


@pytest.mark.parametrize("rivals", RIVALS)
def test_two_wallets_at_once_are_refused(rivals: str) -> None:
    variable, rival = RIVALS[rivals]
    environment_settings = settings.read({variable: Account.create().key.to_0x_hex(), rival: "set"})
    with pytest.raises(
        ConfigError, match=f"{variable} and {rival} are both set: choose one of them, and unset the other"
    ):
        _ = wiring.key_source(environment_settings).kind


def test_an_api_key_of_cdp_alone_chooses_no_wallet() -> None:
    environment_settings = settings.read(
        {"CDP_API_KEY_ID": "id", "CDP_API_KEY_SECRET": "secret", "X402_PRIVATE_KEY": "0x1"}
    )
    assert wiring.key_source(environment_settings).kind == "key"
