"""The environment, read once; build() is the only place that picks adapters."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuagent.adapters.wallets.source import KeySource
from gpuagent.core import networks
from gpuagent.core.model import Token, Vendor
from gpuagent.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from gpuagent.adapters.chain.agreeing import Node
    from gpuagent.adapters.mongo.store import MongoStore
    from gpuagent.adapters.planners.llm.planner import LlmPlanner
    from gpuagent.core.ports import Clock, Planner, Ports, VendorApi
    from gpuagent.wire.bounded_http import BoundedHttp

PLANNER_MODES = ("stub", "llm")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. What only some commands need is read when it is needed, and raises ConfigError then.

    environ also holds the vendors' bearer tokens, each under the name in the vendor's record.
    """

    mongodb_uri: str = field(repr=False)
    database: str
    planner: str
    network: str
    environ: Mapping[str, str] = field(repr=False)

    @property
    def profile(self) -> networks.Network:
        """What is known of the network that is paid on."""
        return networks.of(self.network)

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """The nodes of the chain, which must agree."""
        what = "the JSON-RPC endpoint of the chain, or several with commas between; `gpuagent up` starts a local one"
        given = self.environ.get("CHAIN_RPC_URL") or self.profile.rpc_url or self._needed("CHAIN_RPC_URL", what)
        urls = tuple(url.strip() for url in given.split(","))
        if "" in urls or len(set(urls)) < len(urls):
            # Not shown: an endpoint may hold an API key.
            raise ConfigError("CHAIN_RPC_URL has an empty or a repeated endpoint: write each node once, commas between")
        return urls

    @property
    def key(self) -> KeySource:
        return KeySource(self.environ)

    @property
    def private_key(self) -> str:
        return self.key.private_key

    @property
    def token(self) -> Token:
        if self.profile.token:
            return self.profile.token
        address = self._needed("X402_ASSET", f"the address of the token on {self.network}; `gpuagent up` prints it")
        name, version = self.environ.get("X402_ASSET_NAME", "USD Coin"), self.environ.get("X402_ASSET_VERSION", "2")
        return Token(self.network, address, name, version)

    @property
    def confirmations(self) -> int:
        text = self.environ.get("X402_CONFIRMATIONS", str(self.profile.confirmations))
        if not text.isdecimal():
            raise ConfigError(f"X402_CONFIRMATIONS={text!r}: write how many blocks deep a payment counts as final")
        return int(text)

    def _needed(self, name: str, what: str) -> str:
        if not self.environ.get(name):
            raise ConfigError(f"set {name}: {what}")
        return self.environ[name]


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in the environment. Raises ConfigError naming the variable and what to write."""
    env = os.environ if environ is None else environ
    settings = Settings(
        mongodb_uri=env.get("MONGODB_URI", ""),
        database=env.get("MONGODB_DB_NAME", "gpuagent"),
        planner=env.get("PLANNER_MODE", "stub"),
        network=networks.caip2_of(env.get("X402_NETWORK") or networks.LOCAL.name),
        environ=env,
    )
    del env, environ  # tools that show a traceback with its locals must not find the secrets in them
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    network, planner = settings.network, settings.planner
    if not networks.is_caip2(network):
        names = ", ".join(one.name for one in networks.PROFILES)
        raise ConfigError(f"X402_NETWORK={network!r}: write one of {names}, or a CAIP-2 network such as eip155:8453")
    if planner not in PLANNER_MODES:
        raise ConfigError(f"PLANNER_MODE={planner!r}: write one of {', '.join(PLANNER_MODES)}")


@dataclass(frozen=True, slots=True)
class Agent:
    """The ports of the core, and the adapters behind them for what only people ask."""

    ports: "Ports"
    store: "MongoStore"
    chain: "Node"


@contextmanager
def build(settings: Settings, store: "MongoStore | None" = None) -> Iterator[Agent]:
    """Connect everything; close it at the end. store: one that is open already. Raises ConfigError, ChainError."""
    from gpuagent.adapters.clock import SystemClock
    from gpuagent.adapters.vendors.http import HttpVendor
    from gpuagent.core.ports import Ports

    _quiet()
    with ExitStack() as stack:
        wallet = stack.enter_context(settings.key.open_wallet(settings.token))
        chain = stack.enter_context(open_chain(settings))
        store = store or stack.enter_context(open_store(settings))
        vendor_api = HttpVendor(settings.environ.get)
        stack.callback(vendor_api.close)
        yield Agent(
            Ports(
                store=store,
                planners=_planners(settings),
                wallet=wallet,
                chain=chain,
                vendor_api=vendor_api,
                clock=SystemClock(),
            ),
            store,
            chain,
        )


def _planners(settings: Settings) -> "Mapping[str, Planner]":
    """Every planner by name, made when it is first asked for: ConfigError is raised then where it is not set up."""
    from gpuagent.adapters.planners.registry import OnDemand
    from gpuagent.adapters.planners.stub import StubPlanner

    def stub(option: str) -> "Planner":
        if option:
            raise KeyError(option)
        return StubPlanner()

    return OnDemand({"stub": stub, "llm": lambda model: open_llm_planner(settings, model)})


def named_planner(settings: Settings, name: str) -> "Planner":
    """A planner alone, without a wallet or a database. Raises BadInput where there is none of that name."""
    planners = _planners(settings)
    if name.partition(":")[0] not in list(planners):
        raise BadInput(f"no planner {name!r}; there are: {', '.join(planners)}")
    return planners[name]


def open_llm_planner(settings: Settings, model: str = "") -> "LlmPlanner":
    """The planner that asks a language model: this one, or that of the environment.

    Raises ConfigError for a missing key, model or price.
    """
    from gpuagent.adapters.planners.llm.planner import open_planner

    return open_planner({**settings.environ, "PLANNER_MODEL": model} if model else settings.environ)


@contextmanager
def open_chain(settings: Settings) -> "Iterator[Node]":
    """The chain alone, which needs no key. Raises ConfigError, and ChainError when it is another chain."""
    from gpuagent.adapters.chain.agreeing import AgreeingChain
    from gpuagent.adapters.chain.evm import EvmChain

    _quiet()
    nodes = [EvmChain(url, settings.token, settings.confirmations) for url in settings.rpc_urls]
    with closing(AgreeingChain(nodes) if len(nodes) > 1 else nodes[0]) as chain:
        chain.check()
        yield chain


@contextmanager
def open_store(settings: Settings, folder: "Path | None" = None) -> "Iterator[MongoStore]":
    """The store alone, in the user's MongoDB or in the embedded server. Raises ConfigError.

    folder: of the embedded server's data, where it is not the usual one.
    """
    from gpuagent.adapters.mongo.store import MongoStore

    _quiet()
    with ExitStack() as stack:
        uri = settings.mongodb_uri
        if not uri:
            from gpuagent.adapters.mongo import embedded as mongod

            uri = stack.enter_context(mongod.start(folder or mongod.default_folder())).uri
        yield stack.enter_context(closing(MongoStore(uri, settings.database)))


def _quiet() -> None:
    """Libraries log what is secret: httpx the API key in the path of a node, pymongo at DEBUG whole signed payments.

    Who asks for one of these by its name still gets it.
    """
    for name, level in {"httpx": logging.WARNING, "pymongo.command": logging.INFO}.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


def system_clock() -> "Clock":
    from gpuagent.adapters.clock import SystemClock

    return SystemClock()


def record_vendors(store: "MongoStore", vendors: Iterable[Vendor]) -> None:
    """Write vendors down, or change their records."""
    from gpuagent.adapters.clock import SystemClock

    for vendor in vendors:
        store.put_vendor(vendor, SystemClock().now())


@contextmanager
def open_vendor_api(secrets: Mapping[str, str]) -> "Iterator[tuple[VendorApi, BoundedHttp]]":
    """To speak to vendors without a wallet or a database; the plain client for what the API does not allow."""
    from gpuagent.adapters.vendors.http import HttpVendor
    from gpuagent.wire.bounded_http import BoundedHttp

    with ExitStack() as stack:
        vendor_api = HttpVendor(secrets.get)
        stack.callback(vendor_api.close)
        http = BoundedHttp(deadline_s=10)
        stack.callback(http.close)
        yield vendor_api, http
