"""The settings in the environment, read once and checked. A bad value is one line that says what to write."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from seller.catalogue import MICRO
from seller.errors import BadSetting, shown

LOCAL_NETWORK = "eip155:31337"
OWN_CHAIN_NEEDS = ("X402_NETWORK", "X402_ASSET", "MOCK_PAY_TO")
FACILITATORS = ("FACILITATOR_URL", "FACILITATOR_PRIVATE_KEY")


class Sandbox(StrEnum):
    """Whether jobs run in bubblewrap: where it is there, or else not at all, or never."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True)
class OwnChain:
    """An EVM chain that is run elsewhere, and what is needed to sell on it.

    Either a hosted facilitator settles there, or our own, which pays the gas with its key; the other is "".
    """

    rpc_url: str
    network: str
    asset: str
    asset_name: str
    asset_version: str
    facilitator_url: str
    facilitator_key: str
    pay_to: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """The settings of a mock vendor. Amounts are USD, times are seconds. `chain` is None for a local Anvil.

    `keep_jobs`: its jobs go on when it ends, and its next start in the same folder takes them up.
    """

    port: int
    secret: str
    fail_vendor_id: str | None
    fail_rate: float
    base_price_per_hour: Decimal
    vendors: int
    seed: int
    speed: float
    slow_s: float
    payer_usdc: Decimal
    data_dir: Path | None
    chain: OwnChain | None
    sandbox: Sandbox = Sandbox.AUTO
    keep_jobs: bool = False


def vendor_ids(count: int) -> list[str]:
    return [f"gpu_vendor_{number}" for number in range(1, count + 1)]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in the environment. Raises BadSetting. An empty variable counts as unset."""
    read = _Reader(environment)
    vendors = int(read.number("MOCK_VENDORS", "3", 1, 50, whole=True))
    data_dir = read.text("MOCK_DATA_DIR", "")
    return Settings(
        port=int(read.number("PORT", "4001", 0, 65535, whole=True)),
        secret=read.text("GPU_VENDOR_SECRET", "") or secrets.token_urlsafe(24),
        fail_vendor_id=_fail_vendor_id(read, vendors),
        fail_rate=float(read.number("FAIL_RATE", "0", 0, 1)),
        base_price_per_hour=read.price("BASE_PRICE_PER_HOUR", "1.40"),
        vendors=vendors,
        seed=int(read.number("MOCK_SEED", "7", 0, 2**63 - 1, whole=True)),
        speed=float(read.number("MOCK_SPEED", "1200", MICRO, 10**9)),
        slow_s=float(read.number("MOCK_SLOW_S", "30", 0, 3600)),
        payer_usdc=read.number("MOCK_PAYER_USDC", "1000", 0, 10**9),
        data_dir=Path(data_dir) if data_dir else None,
        chain=_own_chain(read),
        sandbox=_sandbox(read),
        keep_jobs=_keep_jobs(read),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(name, "").strip() or default

    def number(self, name: str, default: str, low: Decimal | int, high: int, *, whole: bool = False) -> Decimal:
        text = self.text(name, default)
        message = f"{name}={shown(text)}: write a {'whole ' if whole else ''}number from {low} to {high}"
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise BadSetting(message) from None
        if not value.is_finite() or not low <= value <= high or (whole and value != int(value)):
            raise BadSetting(message)
        return value

    def price(self, name: str, default: str) -> Decimal:
        text = self.text(name, default)
        return parse_price(text, name)


def parse_price(text: str, name: str) -> Decimal:
    """USD of at most 6 decimal places, from 0.000001 to 10000. Raises BadSetting."""
    message = f"{name}={shown(text)}: write a price in USD such as 1.40, of at most 6 decimal places"
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BadSetting(message) from None
    if not value.is_finite() or not MICRO <= value <= 10_000 or value != value.quantize(MICRO):
        raise BadSetting(message)
    return value


def _fail_vendor_id(read: _Reader, vendors: int) -> str | None:
    vendor_id = read.text("FAIL_VENDOR_ID", "none")
    if vendor_id == "none":
        return None
    if vendor_id not in vendor_ids(vendors):
        names = ", ".join(vendor_ids(vendors))
        raise BadSetting(f"FAIL_VENDOR_ID={shown(vendor_id)}: write one of {names}, or none")
    return vendor_id


def _sandbox(read: _Reader) -> Sandbox:
    text = read.text("MOCK_SANDBOX", Sandbox.AUTO)
    try:
        return Sandbox(text)
    except ValueError:
        raise BadSetting(f"MOCK_SANDBOX={shown(text)}: write {', '.join(Sandbox)}") from None


def _keep_jobs(read: _Reader) -> bool:
    keep = read.number("MOCK_KEEP_JOBS", "0", 0, 1, whole=True) == 1
    if keep and not read.text("MOCK_DATA_DIR", ""):
        raise BadSetting("MOCK_KEEP_JOBS is set, so set MOCK_DATA_DIR too: the folder in which they are kept")
    return keep


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and parts.scheme in ("http", "https") and text.isascii() and text.isprintable() and " " not in text


def _own_chain(read: _Reader) -> OwnChain | None:
    rpc_url = read.text("CHAIN_RPC_URL", "")
    facilitators = [name for name in FACILITATORS if read.text(name, "")]
    if not rpc_url:
        if "FACILITATOR_URL" in facilitators:
            raise BadSetting("FACILITATOR_URL is set, so set CHAIN_RPC_URL too: a node of the chain that it settles on")
        return None
    if len(facilitators) > 1:
        raise BadSetting(f"{' and '.join(facilitators)} are both set: choose who settles, and unset the other")
    missing = [name for name in OWN_CHAIN_NEEDS if not read.text(name, "")]
    if not facilitators:
        missing.append(" or ".join(FACILITATORS))
    if missing:
        raise BadSetting(f"CHAIN_RPC_URL is set, so set {', '.join(missing)} too")
    for name in ("CHAIN_RPC_URL", "FACILITATOR_URL"):
        if read.text(name, "") and not _is_web_url(read.text(name, "")):
            raise BadSetting(f"{name} is no URL: write one like https://host/path")
    network = read.text("X402_NETWORK", "")
    if not network.removeprefix("eip155:").isdecimal() or not network.startswith("eip155:"):
        raise BadSetting(f"X402_NETWORK={shown(network)}: write a CAIP-2 network such as eip155:84532")
    return OwnChain(
        rpc_url=rpc_url,
        network=network,
        asset=read.text("X402_ASSET", ""),
        asset_name=read.text("X402_ASSET_NAME", "USDC"),
        asset_version=read.text("X402_ASSET_VERSION", "2"),
        facilitator_url=read.text("FACILITATOR_URL", ""),
        facilitator_key=read.text("FACILITATOR_PRIVATE_KEY", ""),
        pay_to=tuple(address.strip() for address in read.text("MOCK_PAY_TO", "").split(",")),
    )
