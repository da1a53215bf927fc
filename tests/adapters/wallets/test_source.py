"""What every wallet does alike: a key in the environment, in a keystore, at CDP. Whole purchases on the real chain."""

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
from gpuagent.core.model import Authorized, RunStatus, Terms
from gpuagent.core.ports import Gas, Void
from gpuagent.errors import ConfigError, Refused
from tests.support.cdp_server import CdpServer
from tests.support.world import World

PASSWORD = "correct horse battery staple"
OTHER = "0x" + "9" * 40
GAS = Gas(0, 1, 1, 10**18)


@pytest.fixture(params=["key", "keystore", "cdp"])
def environment(request: pytest.FixtureRequest, world: World, tmp_path: Path, cdp: CdpServer) -> dict[str, str]:
    """The world's, with its one key held in this way."""
    made = dict(world.environment)
    if request.param == "key":
        return made
    key = made.pop("X402_PRIVATE_KEY")
    if request.param == "cdp":
        cdp.open_account("payer", key)
        return {**made, **cdp.environment("payer")}
    sealed = keystore.seal(key, PASSWORD.encode(), scrypt_n=2)
    assert sealed
    keystore.write(tmp_path / "wallet.json", sealed)
    return {**made, "X402_KEYSTORE": str(tmp_path / "wallet.json"), "X402_KEYSTORE_PASSWORD": PASSWORD}


@pytest.fixture
def held(world: World, environment: dict[str, str]) -> Iterator[World]:
    """The world with its wallet opened in this way, by the variables alone."""
    with wiring.open_agent(settings.read(environment)) as agent:
        agent = replace(agent, ports=replace(agent.ports, clock=world.market.clock))
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
    )
    return terms, content["extensions"]["payment-identifier"]["info"]["id"]


def test_a_whole_purchase(world: World, held: World) -> None:
    assert held.ports.wallet.address == world.ports.wallet.address
    held.market.outcomes("gpu_vendor_1", "0")
    run = held.finish(held.start())
    assert run.status is RunStatus.COMPLETED
    held.assert_balanced(run, transfers=2)


def test_every_wallet_signs_the_same_payment(world: World, held: World) -> None:
    """RFC 6979 on our side and on the stub's: the header is the same to the byte, whoever holds the key."""
    world.market.fault("gpu_vendor_1", "never_settle")
    run = held.tick(held.start())
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    terms, identifier = signed_with(job)
    assert held.ports.wallet.sign(job.authorization, terms, identifier) == job.header
    assert world.ports.wallet.sign(job.authorization, terms, identifier) == job.header
    world.market.heal()
    world.assert_balanced(held.finish(run), transfers=1)


def test_a_cancelled_run_cancels_its_authorization_on_chain(held: World) -> None:
    held.give_gas()
    held.market.fault("gpu_vendor_1", "never_settle")
    run = held.tick(held.start())
    cancel(run.run_id, "Ada", "wrong goal", held.store, held.ports.clock)
    run = held.settled_down(run)
    authorization = run.jobs[0].authorization  # type: ignore[union-attr]
    assert authorization
    assert held.chain.outcome(authorization) == Void("cancelled on chain")
    held.assert_balanced(run, transfers=0)


def test_without_gas_the_authorization_dies_by_itself(held: World) -> None:
    held.market.fault("gpu_vendor_1", "never_settle")
    run = held.tick(held.start())
    cancel(run.run_id, "Ada", "wrong goal", held.store, held.ports.clock)
    run = held.tick(run)
    assert isinstance(run.jobs[0], Authorized)
    assert "for gas to cancel" in run.jobs[0].cancellation
    held.market.pass_time(121)
    held.assert_balanced(held.tick(run), transfers=0)


@pytest.mark.parametrize(
    "changes", [{"payee": OTHER}, {"payer": OTHER}, {"amount": 1}, {"asset": OTHER}, {"network": "eip155:8453"}]
)
def test_nothing_but_the_agreed_transfer_is_signed(held: World, cdp: CdpServer, changes: dict[str, Any]) -> None:
    held.market.fault("gpu_vendor_1", "never_settle")
    (job,) = held.tick(held.start()).jobs
    assert isinstance(job, Authorized)
    terms, _ = signed_with(job)
    signed = len(cdp.bodies)
    other = replace(job.authorization, **changes)
    with pytest.raises(Refused, match="does not sign this"):
        held.ports.wallet.sign(other, terms, "")
    if not changes.keys() & {"payee", "amount"}:
        with pytest.raises(Refused, match="does not cancel this"):
            held.ports.wallet.cancel(other, GAS)
    assert len(cdp.bodies) == signed, "nor is anybody asked to"


def test_no_wallet_shows_what_it_holds(held: World, environment: dict[str, str]) -> None:
    read = settings.read(environment)
    secrets = [PASSWORD, *(value for name, value in environment.items() if "SECRET" in name or "KEY" in name)]
    for one in (read, wiring.key_source(read), held.ports.wallet, held.agent):
        assert not [secret for secret in secrets if secret in f"{one!r} {one!s}" and len(secret) > 12]


BOTH = {
    "key and keystore": ("X402_PRIVATE_KEY", "X402_KEYSTORE"),
    "old key and CDP": ("EVM_PRIVATE_KEY", "CDP_WALLET_SECRET"),
    "key and CDP": ("X402_PRIVATE_KEY", "CDP_ACCOUNT"),
    "keystore and CDP": ("X402_KEYSTORE", "CDP_WALLET_SECRET"),
}


@pytest.mark.parametrize("rivals", BOTH)
def test_two_wallets_at_once_are_refused(rivals: str) -> None:
    one, other = BOTH[rivals]
    read = settings.read({one: Account.create().key.to_0x_hex(), other: "set"})
    with pytest.raises(ConfigError, match=f"{one} and {other} are both set: choose one of them, and unset the other"):
        _ = wiring.key_source(read).kind


def test_an_api_key_of_cdp_alone_chooses_no_wallet() -> None:
    read = settings.read({"CDP_API_KEY_ID": "id", "CDP_API_KEY_SECRET": "secret", "X402_PRIVATE_KEY": "0x1"})
    assert wiring.key_source(read).kind == "key"
