"""The environment of each visitor's process, and what its MongoDB user may write."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from gpuagent import settings, wiring
from gpuagent.agent.approve import approve, cancel
from gpuagent.api.tokens import Caller
from gpuagent.console.environments import OWN_USER, Environments, open_environments
from gpuagent.core.model import Run
from gpuagent.errors import ConfigError, Refused, StoreError, VendorTokenMissing
from gpuagent.session import open_session
from gpuagent.tick import tick
from gpuagent.wiring.page_users import APPROVER, READER
from gpuagent.wiring.vendors import record_vendors
from tests.conftest import SafetyNote
from tests.support.market import Market
from tests.support.own_database import embedded_world
from tests.support.world import World

RITA = Caller("rita", frozenset({"read"}))
ADA = Caller("ada", frozenset({"read", "approve"}))
OTTO = Caller("otto", frozenset({"read", "operate", "tick-due"}))
WHOLE = {
    "PATH": "/usr/bin",
    "MONGODB_URI": "mongodb://writer@host/",
    "X402_PRIVATE_KEY": "0xkey",
    "EVM_PRIVATE_KEY": "0xkey2",
    "X402_KEYSTORE": "/k",
    "X402_KEYSTORE_PASSWORD": "pw",
    "CDP_WALLET_SECRET": "cdp",
    "GPU_VENDOR_SECRET": "vendor",
    "OPENAI_API_KEY": "model",
    "AWS_SECRET_ACCESS_KEY": "bucket",
    "CHAIN_RPC_URL": "http://node/",
    "GPUAGENT_API_TOKENS": "tokens",
    "CRON_SECRET": "cron",
    "CONSOLE_READ_MONGODB_URI": "mongodb://reader@host/",
    "CONSOLE_APPROVE_MONGODB_URI": "mongodb://approver@host/",
    "CONSOLE_RIGHTS": "read+operate+approve",
    "SOMETHING_NEW": "a secret of a later version",
}
ENVIRONMENTS = Environments(WHOLE, {READER: "mongodb://r/", APPROVER: "mongodb://a/"}, "db", "0xaddress")


def test_who_does_not_operate_gets_an_allow_list() -> None:
    common = {"PATH": "/usr/bin", "CHAIN_RPC_URL": "http://node/", "CONSOLE_WALLET_ADDRESS": "0xaddress"}
    common |= {"MONGODB_DB_NAME": "db"}
    reader = {**common, "MONGODB_URI": "mongodb://r/", "CONSOLE_LOGIN": "rita", "CONSOLE_RIGHTS": "read"}
    approver = {**common, "MONGODB_URI": "mongodb://a/", "CONSOLE_LOGIN": "ada", "CONSOLE_RIGHTS": "approve+read"}
    assert (ENVIRONMENTS.of(RITA), ENVIRONMENTS.of(ADA)) == (reader, approver)


def test_who_operates_gets_all_but_what_lets_others_in() -> None:
    withheld = {name for name in WHOLE if name.startswith(("GPUAGENT", "CRON", "CONSOLE"))}
    rest = {name: value for name, value in WHOLE.items() if name not in withheld}
    assert ENVIRONMENTS.of(OTTO) == {**rest, "CONSOLE_LOGIN": "otto", "CONSOLE_RIGHTS": "operate+read"}
    assert ENVIRONMENTS.of(OWN_USER) == rest


@pytest.fixture
def own_world(market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(market, tmp_path, monkeypatch, "roles") as world:
        yield world


@pytest.mark.safety("the MongoDB users of a reader and an approver, on a real server")
def test_the_database_itself_keeps_a_reader_and_an_approver_from_more(
    own_world: World, safety_note: SafetyNote
) -> None:
    world = own_world
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start())
    refused = 0
    with open_environments(world.environment, (RITA, ADA)) as environments:
        for caller in (RITA, ADA):
            with opened(environments.of(caller)) as agent:
                refused += check_refused(agent, run)
                if caller == RITA:
                    with pytest.raises(StoreError, match="no right to"):
                        approve(run.run_id, "rita", 1_400_000, agent.store, agent.ports.clock)
        with opened(environments.of(ADA)) as agent:
            approve(run.run_id, "ada", 1_400_000, agent.store, agent.ports.clock)
            assert world.jobs()[0]["approval"]["by"] == "ada"
            with pytest.raises(VendorTokenMissing):  # it would not get as far as to want a signature
                tick(run.run_id, agent.ports)
            cancel(run.run_id, "ada", "not needed", agent.store, agent.ports.clock)
    assert world.transfers() == ()
    with open_environments(world.environment, (RITA,)) as again:  # repeated, the users are as they were
        assert again.of(RITA) == environments.of(RITA)
    safety_note(f"{refused} writes refused by the database")


def check_refused(agent: wiring.Agent, run: Run) -> int:
    """Everything that the process could try by itself is refused; how much was tried."""
    store, now = agent.store, agent.ports.clock.now()
    policy, database = store.policy(), store.connection.database
    assert store.load(run.run_id).run_id == run.run_id
    with pytest.raises(Refused, match="holds no key"):
        agent.ports.wallet.sign(None, None, "")  # type: ignore[arg-type]
    writes: tuple[Callable[[], object], ...] = (
        lambda: store.create(run),
        lambda: store.change_policy(lambda rules: rules, "mallory", "why", now),
        lambda: record_vendors(agent.database, store.vendors()[:1]),
        lambda: database.jobs.delete_many({}),
        lambda: database.payments.insert_one({}),
        lambda: database.client["elsewhere"].things.insert_one({}),
    )
    for write in writes:
        with pytest.raises((StoreError, OperationFailure), match=r"no right to|not authorized"):
            write()
    assert store.policy() == policy
    return len(writes)


def test_a_server_of_ones_own_needs_users_who_may_not_do_more(world: World) -> None:
    needed = r"set CONSOLE_READ_MONGODB_URI: .*may only read the database"
    with pytest.raises(ConfigError, match=needed), open_environments(world.environment, (RITA, OTTO)):
        pass
    writer = world.environment["MONGODB_URI"]
    for caller, variable in ((RITA, "CONSOLE_READ_MONGODB_URI"), (ADA, "CONSOLE_APPROVE_MONGODB_URI")):
        with (
            pytest.raises(ConfigError, match=f"user of {variable} may do more than read.* on ") as refusal,
            open_environments({**world.environment, variable: writer}, (caller,)),
        ):
            pass
        assert writer not in str(refusal.value)
    with open_environments(world.environment, (OTTO,)) as environments:  # who operates needs no other user
        assert environments.of(OTTO)["MONGODB_URI"] == writer


def test_a_session_without_rights_has_no_key_although_there_is_one(world: World) -> None:
    visitor = {"CONSOLE_LOGIN": "rita", "CONSOLE_RIGHTS": "read", "CONSOLE_WALLET_ADDRESS": "0x" + "1" * 40}
    with open_session({**world.environment, **visitor}) as session:
        assert (session.rights.login, session.rights.permissions) == ("rita", {"read"})
        with pytest.raises(Refused, match="holds no key"):
            session.agent.ports.wallet.sign(None, None, "")  # type: ignore[arg-type]


@contextmanager
def opened(environ: dict[str, str]) -> Iterator[wiring.Agent]:
    payer = environ["CONSOLE_WALLET_ADDRESS"]
    with wiring.open_agent(settings.read(environ), payer=payer) as agent:
        yield agent
