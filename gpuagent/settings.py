"""The environment, read once; build() is the only place that picks adapters."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuagent.errors import ConfigError
from gpuagent.model import Token

if TYPE_CHECKING:
    from gpuagent.adapters.evm_chain import EvmChain
    from gpuagent.adapters.mongo_store import MongoStore
    from gpuagent.ports import Ports, VendorApi
    from gpuagent.wire.bounded_http import BoundedHttp

LOCAL = "eip155:31337"
# USDC and its EIP-712 domain: https://developers.circle.com/stablecoins/usdc-contract-addresses
TOKENS = {
    "eip155:8453": Token("eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"),
    "eip155:84532": Token("eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"),
}
CONFIRMATIONS = {LOCAL: 0, "eip155:8453": 10, "eip155:84532": 10}
PLANNER_MODES = ("stub",)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the parts are. secrets: the environment itself, for vendor tokens by the name of their variable."""

    mongodb_uri: str
    database: str
    planner: str
    rpc_url: str
    token: Token
    confirmations: int
    private_key: str = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in the environment. Raises ConfigError naming the variable and what to write."""
    env = os.environ if environ is None else environ
    network = env.get("X402_NETWORK", LOCAL)
    planner = env.get("PLANNER_MODE", "stub")
    if planner not in PLANNER_MODES:
        raise ConfigError(f"PLANNER_MODE={planner!r}: write one of {', '.join(PLANNER_MODES)}")
    return Settings(
        mongodb_uri=env.get("MONGODB_URI", ""),
        database=env.get("MONGODB_DB_NAME", "gpuagent"),
        planner=planner,
        rpc_url=_needed(env, "CHAIN_RPC_URL", "the JSON-RPC endpoint of the chain; `gpuagent up` starts a local one"),
        token=_token(env, network),
        confirmations=_confirmations(env, network),
        private_key=env.get("X402_PRIVATE_KEY") or env.get("EVM_PRIVATE_KEY") or "",
        secrets=env,
    )


@dataclass(frozen=True, slots=True)
class Agent:
    """The ports of the core, and the adapters behind them for what only people ask."""

    ports: "Ports"
    store: "MongoStore"
    chain: "EvmChain"


@contextmanager
def build(settings: Settings) -> Iterator[Agent]:
    """Connect everything; close it at the end. Raises ConfigError, ChainError."""
    from gpuagent.adapters.evm_chain import EvmChain
    from gpuagent.adapters.http_vendor import HttpVendor
    from gpuagent.adapters.local_wallet import LocalWallet
    from gpuagent.adapters.stub_planner import StubPlanner
    from gpuagent.adapters.system_clock import SystemClock
    from gpuagent.ports import Ports

    if not settings.private_key:
        raise ConfigError("set X402_PRIVATE_KEY: the key of the wallet that pays (0x and 64 hex digits)")
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings))
        chain = EvmChain(settings.rpc_url, settings.token, settings.confirmations)
        stack.callback(chain.close)
        chain.check()
        vendor_api = HttpVendor(settings.secrets.get)
        stack.callback(vendor_api.close)
        yield Agent(
            Ports(
                store=store,
                planners={"stub": StubPlanner()},
                wallet=LocalWallet(settings.private_key, settings.token),
                chain=chain,
                vendor_api=vendor_api,
                clock=SystemClock(),
            ),
            store,
            chain,
        )


@contextmanager
def open_store(settings: Settings) -> "Iterator[MongoStore]":
    """The store alone, in the user's MongoDB or in the embedded server. Raises ConfigError."""
    from gpuagent.adapters.mongo_store import MongoStore

    with ExitStack() as stack:
        uri = settings.mongodb_uri
        if not uri:
            from gpuagent.adapters import mongod

            uri = stack.enter_context(mongod.start(mongod.default_folder())).uri
        store = MongoStore(uri, settings.database)
        stack.callback(store.close)
        yield store


@contextmanager
def open_vendor_api(secrets: Mapping[str, str]) -> "Iterator[tuple[VendorApi, BoundedHttp]]":
    """To speak to vendors without a wallet or a database; the plain client for what the API does not allow."""
    from gpuagent.adapters.http_vendor import HttpVendor
    from gpuagent.wire.bounded_http import BoundedHttp

    with ExitStack() as stack:
        vendor_api = HttpVendor(secrets.get)
        stack.callback(vendor_api.close)
        http = BoundedHttp(deadline_s=10)
        stack.callback(http.close)
        yield vendor_api, http


def _token(env: Mapping[str, str], network: str) -> Token:
    if network in TOKENS:
        return TOKENS[network]
    if not network.removeprefix("eip155:").isdecimal() or not network.startswith("eip155:"):
        raise ConfigError(f"X402_NETWORK={network!r}: write a CAIP-2 network such as {', '.join([LOCAL, *TOKENS])}")
    return Token(
        network,
        _needed(env, "X402_ASSET", f"the address of the token on {network}; `gpuagent up` prints it"),
        env.get("X402_ASSET_NAME", "USD Coin"),
        env.get("X402_ASSET_VERSION", "2"),
    )


def _confirmations(env: Mapping[str, str], network: str) -> int:
    text = env.get("X402_CONFIRMATIONS", str(CONFIRMATIONS.get(network, 10)))
    if not text.isdecimal():
        raise ConfigError(f"X402_CONFIRMATIONS={text!r}: write how many blocks deep a payment counts as final")
    return int(text)


def _needed(env: Mapping[str, str], name: str, what: str) -> str:
    if not env.get(name):
        raise ConfigError(f"set {name}: {what}")
    return env[name]
