"""The environment, read once. What it names is opened in wiring/."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from gpuagent.core import networks
from gpuagent.core.model import Token
from gpuagent.core.text import clean, is_web_url, nearest, shown
from gpuagent.errors import ConfigError

PLANNER_MODES = ("stub", "llm")
CHAIN_NAMES = (
    *("CHAIN_RPC_URL", "X402_NETWORK"),
    *("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE", "CDP_ACCOUNT"),
)
PUBLIC_LISTS = (
    "https://api.cdp.coinbase.com/platform/v2/x402/discovery",
    "https://facilitator.payai.network/discovery",
)
"""The lists of sellers that `gpuagent vendor search` reads where none is named: the Bazaar of CDP, and PayAI's."""
PASSWORD = "X402_KEYSTORE_PASSWORD"  # noqa: S105 - the name of a variable
CONFIRMATIONS_MAX = 1_000_000
DATABASE_MAX = 63
NOT_IN_A_DATABASE = frozenset(' /\\."$*<>:|?\0')
"""Characters that MongoDB takes in no database's name, on one system or another."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
INVISIBLE = "\u200b\ufeff"
"""Marks that come along when a value is copied, and that strip() leaves."""


class Environment(Mapping[str, str]):
    """The variables as they are at the time of asking, without blanks, newlines and invisible marks at their ends.

    Mounted secrets end with a newline, and values that are copied bring a blank. Of a password only newlines are no
    part. Shows nothing of itself.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        value = self._variables[name]
        if name == PASSWORD:
            return value.rstrip("\r\n")
        while (stripped := value.strip().strip(INVISIBLE)) != value:
            value = stripped
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place for files in a bucket of S3. prefix: of every key, "" for none."""

    name: str
    prefix: str


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
        for number, url in enumerate(urls, 1):
            if not is_web_url(url):
                which = f"endpoint {number} of CHAIN_RPC_URL" if len(urls) > 1 else "CHAIN_RPC_URL"
                raise ConfigError(f"{which} is no URL of a node: write one like https://host/path")
        return urls

    @property
    def token(self) -> Token:
        if self.profile.token:
            return self.profile.token
        address = self._needed("X402_ASSET", f"the address of the token on {self.network}; `gpuagent up` prints it")
        if not networks.is_address(address):
            raise ConfigError("X402_ASSET is no address: write 0x and 40 hex digits, with a right checksum if mixed")
        name, version = self.environ.get("X402_ASSET_NAME") or "USD Coin", self.environ.get("X402_ASSET_VERSION") or "2"
        for variable, text in {"X402_ASSET_NAME": name, "X402_ASSET_VERSION": version}.items():
            if clean(text, 64) != text:
                raise ConfigError(f"{variable} is no line of at most 64 characters: write what the token itself says")
        return Token(self.network, address, name, version)

    @property
    def confirmations(self) -> int:
        text = self.environ.get("X402_CONFIRMATIONS") or str(self.profile.confirmations)
        # Cut first: a number of thousands of digits is no number to Python.
        if not (text.isascii() and text.isdecimal() and int(text[:9]) <= CONFIRMATIONS_MAX):
            raise ConfigError(
                f"X402_CONFIRMATIONS={shown(text)}: write how many blocks deep a payment counts as final, "
                f"{CONFIRMATIONS_MAX} at most"
            )
        return int(text)

    @property
    def vendor_patience_s(self) -> int | None:
        """How long a paid vendor that answers is waited for, beyond the paid hours; None where nothing is said."""
        text = self.environ.get("VENDOR_PATIENCE_S", "")
        if text and not (text.isascii() and text.isdecimal() and len(text) < 8):
            raise ConfigError(f"VENDOR_PATIENCE_S={shown(text)}: write a whole number of seconds, such as 1800")
        return int(text) if text else None

    @property
    def file_store(self) -> Path | Bucket | None:
        """Where the files of runs are kept; None for the database."""
        text = self.environ.get("FILE_STORE", "")
        if not text:
            return None
        scheme, _, rest = text.partition("://")
        host, _, path = rest.partition("/")
        path = unquote(path).strip("/")
        if scheme == "file" and not host and path and path.isprintable():
            return Path("/", path)
        if scheme == "s3" and BUCKET.fullmatch(host) and path.isprintable():
            return Bucket(host, path)
        raise ConfigError("FILE_STORE is no place for files: write file:///folder or s3://bucket/prefix, or unset it")

    @property
    def discovery_lists(self) -> tuple[str, ...]:
        """The public lists that vendors are searched in."""
        text = self.environ.get("DISCOVERY_LISTS", "")
        urls = tuple(url.strip() for url in text.split(",")) if text else PUBLIC_LISTS
        if not all(map(is_web_url, urls)):
            raise ConfigError("DISCOVERY_LISTS holds no URLs: write https://host/path, commas between, or unset it")
        return urls

    def _needed(self, name: str, what: str) -> str:
        if not self.environ.get(name):
            raise ConfigError(f"set {name}: {what}")
        return self.environ[name]


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a chain or a wallet; without either, everything is embedded."""
    variables = Environment(environ)
    return any(variables.get(name) for name in CHAIN_NAMES)


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in the environment. Raises ConfigError naming the variable and what to write."""
    env = Environment(os.environ if environ is None else environ)
    settings = Settings(
        mongodb_uri=env.get("MONGODB_URI", ""),
        database=env.get("MONGODB_DB_NAME", ""),
        planner=env.get("PLANNER_MODE") or "stub",
        network=networks.caip2_of(env.get("X402_NETWORK") or networks.LOCAL.name),
        environ=env,
    )
    del env, environ  # tools that show a traceback with its locals must not find the secrets in them
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    _ = settings.file_store
    network, planner = settings.network, settings.planner
    if not networks.is_caip2(network):
        names = [profile.name for profile in networks.PROFILES]
        form = f"write one of {', '.join(names)}, or a CAIP-2 network such as eip155:8453"
        raise ConfigError(f"X402_NETWORK={shown(network)}: {form}{_meant(network, names)}")
    if planner not in PLANNER_MODES:
        form = f"write one of {', '.join(PLANNER_MODES)}"
        raise ConfigError(f"PLANNER_MODE={shown(planner)}: {form}{_meant(planner, PLANNER_MODES)}")
    if settings.mongodb_uri and not settings.mongodb_uri.startswith(("mongodb://", "mongodb+srv://")):
        # The driver would take any text for the name of a host, and show it.
        raise ConfigError("MONGODB_URI is no URI of MongoDB: write mongodb://host/ or mongodb+srv://host/")
    if len(settings.database.encode(errors="replace")) > DATABASE_MAX or NOT_IN_A_DATABASE & set(settings.database):
        raise ConfigError("MONGODB_DB_NAME is no name of a database: write letters, digits, - and _, 63 at most")


def _meant(value: str, words: Iterable[str]) -> str:
    word = nearest(value, words)
    return f"; did you mean {word}?" if word else ""
