"""The environment, read once. What it names is opened in wiring.py."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.core import networks
from gpuagent.core.model import Token
from gpuagent.errors import ConfigError

PLANNER_MODES = ("stub", "llm")
CHAIN_NAMES = (
    *("CHAIN_RPC_URL", "X402_NETWORK"),
    *("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE", "CDP_ACCOUNT"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. What only some commands need is read when it is needed, and raises ConfigError then.

    database: the one that is named beside MONGODB_URI, "" for none. environ also holds the vendors' bearer tokens, each
    under the name in the vendor's record.
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
        endpoints = self.environ.get("CHAIN_RPC_URL") or self.profile.rpc_url or self._needed("CHAIN_RPC_URL", what)
        urls = tuple(url.strip() for url in endpoints.split(","))
        if "" in urls or len(set(urls)) < len(urls):
            # Not shown: an endpoint may hold an API key.
            raise ConfigError("CHAIN_RPC_URL has an empty or a repeated endpoint: write each node once, commas between")
        return urls

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

    @property
    def vendor_patience_s(self) -> int | None:
        """How long a paid vendor that answers is waited for, beyond the paid hours; None where nothing is said."""
        text = self.environ.get("VENDOR_PATIENCE_S", "")
        if text and not (text.isascii() and text.isdecimal() and len(text) < 8):
            raise ConfigError(f"VENDOR_PATIENCE_S={text!r}: write a whole number of seconds, such as 1800")
        return int(text) if text else None

    def _needed(self, name: str, what: str) -> str:
        if not self.environ.get(name):
            raise ConfigError(f"set {name}: {what}")
        return self.environ[name]


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a chain or a wallet; without either, everything is embedded."""
    return any(environ.get(name) for name in CHAIN_NAMES)


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in the environment. Raises ConfigError naming the variable and what to write."""
    env = os.environ if environ is None else environ
    settings = Settings(
        mongodb_uri=env.get("MONGODB_URI", ""),
        database=env.get("MONGODB_DB_NAME", ""),
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
        names = ", ".join(profile.name for profile in networks.PROFILES)
        raise ConfigError(f"X402_NETWORK={network!r}: write one of {names}, or a CAIP-2 network such as eip155:8453")
    if planner not in PLANNER_MODES:
        raise ConfigError(f"PLANNER_MODE={planner!r}: write one of {', '.join(PLANNER_MODES)}")
