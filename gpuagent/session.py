"""A user's session: the agent that the environment names, or else everything embedded, held open."""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from gpuagent import settings, wiring
from gpuagent.core.rights import OWNER, Right, Rights
from gpuagent.practice import stack
from gpuagent.practice.faults import FaultSwitches, fault_switches
from gpuagent.wiring.database import open_database
from gpuagent.wiring.embedded import announce_practice_database, practice_folder
from gpuagent.wiring.vendors import record_vendors

if TYPE_CHECKING:
    from gpuagent.wiring.database import Database

SPEED = "600"
"""A paid hour at an embedded vendor takes six seconds: long enough to watch, short enough to wait for."""


PAGE_LOGIN, PAGE_RIGHTS, PAGE_WALLET = "CONSOLE_LOGIN", "CONSOLE_RIGHTS", "CONSOLE_WALLET_ADDRESS"
"""What `gpuagent console` tells the process of a visitor: who it is, what they may do, and whose balance is shown."""


@dataclass(frozen=True, slots=True)
class Session:
    """A connected agent. environment: points other processes at the same one. faults: None without a mock vendor.

    rights: of the user; those of a page's visitor follow from their login.
    """

    agent: wiring.Agent
    settings: settings.Settings
    environment: Mapping[str, str] = field(repr=False)
    faults: FaultSwitches | None
    rights: Rights = OWNER


def page_rights(environ: Mapping[str, str]) -> Rights:
    """The rights that a page's server gave this process; a user's own process, which has none, has the owner's."""
    if PAGE_RIGHTS not in environ:
        return OWNER
    return Rights(environ.get(PAGE_LOGIN, ""), frozenset(filter(None, environ[PAGE_RIGHTS].split("+"))))


@contextmanager
def practice_stack(environ: Mapping[str, str], stubs: bool = False, **vendor_settings: str) -> Iterator[stack.Stack]:
    """The practice stack in the user's data folder, until the end. Raises ConfigError, MongodError.

    stubs: as stack.start().
    """
    uri = settings.Environment(environ).get("MONGODB_URI", "")
    if not uri:
        announce_practice_database()
    with stack.start(practice_folder(), uri, stubs=stubs, **vendor_settings) as running:
        yield running


@contextmanager
def open_records(environ: Mapping[str, str]) -> "Iterator[Database]":
    """The database alone, for reading: as every command finds it. Raises ConfigError, MongodError."""
    with open_database(settings.read(environ)) as db:
        yield db


@contextmanager
def resolved_environment(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment itself where it is configured; else that of a stack in the user's data folder, until the end.

    Raises ConfigError, MongodError.
    """
    if settings.is_configured(environ):
        yield dict(environ)
        return
    environ = settings.Environment(environ)
    practice = {"PORT": environ.get("PORT", "0"), "MOCK_SPEED": environ.get("MOCK_SPEED", SPEED)}
    with practice_stack(environ, stubs=False, **practice) as running:
        here = {**environ, **running.environment}
        with open_database(settings.read(here)) as db:
            record_vendors(db, running.vendors)
        yield here


@contextmanager
def open_session(environ: Mapping[str, str]) -> Iterator[Session]:
    """A session until the block ends. Raises ConfigError, MongodError, ChainError.

    Of a page's visitor it is as PAGE_RIGHTS says; who may not operate gets a session that needs no key.
    """
    rights = page_rights(environ)
    payer = "" if rights.has(Right.OPERATE) else environ.get(PAGE_WALLET, "")
    with ExitStack() as closing:
        environment = closing.enter_context(resolved_environment(environ))
        values = settings.read(environment)
        agent = closing.enter_context(wiring.open_agent(values, payer=payer))
        yield Session(agent, values, environment, closing.enter_context(fault_switches(environment)), rights)


@cache
def connect() -> Session:
    """This process's session, open until it ends: a cell that is run again gets the same. Raises as open_session()."""
    closing = ExitStack()
    session = closing.enter_context(open_session(os.environ))
    atexit.register(closing.close)
    return session
