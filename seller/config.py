"""seller.yaml: what is sold, to be paid where, run how, within which bounds. A mistake in it is said by its place."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator

from seller.catalogue import MICRO, Offer
from seller.errors import BadSetting
from seller.payments.market import GAS_PRICE_MAX, GWEI
from seller.units import Duration
from seller.yaml_text import read_yaml

FILE_MAX = 256 * 1024
ADDRESS = r"^0x[0-9a-fA-F]{40}$"
CAIP2 = re.compile(r"eip155:[1-9][0-9]{0,17}", re.ASCII)
KEY_VARIABLE = "SELLER_PRIVATE_KEY"


def _web_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        sound = False
    if not sound or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is no URL: write one like https://host/path")
    return text.rstrip("/")


def _place(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError("is no address to listen at: write one like 127.0.0.1:8402")
    return text


def _price(value: Decimal) -> Decimal:
    if not value.is_finite() or not MICRO <= value <= 10_000 or value != value.quantize(MICRO):
        raise ValueError("is no price in USD: write one such as 1.40, of at most 6 decimal places")
    return value


WebUrl = Annotated[str, AfterValidator(_web_url)]
Place = Annotated[str, AfterValidator(_place)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuOffer(Part):
    """A kind of GPU that is sold. count: how many there are, each for one job at a time."""

    gpu: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
    price_per_hour: Annotated[Decimal, AfterValidator(_price)]
    count: Count = 1
    gpu_memory: Annotated[str, Field(max_length=20)] = ""


class RunnerChoice(Part):
    """Where jobs run. Those of the container runner: engine, images, network, gpus, pull."""

    kind: Literal["process", "container"]
    sandbox: bool = True
    payers: Annotated[list[Annotated[str, Field(pattern=ADDRESS)]], Field(max_length=1_000)] = Field(
        default_factory=list
    )
    engine: str = "unix:///run/podman/podman.sock"
    images: list[str] = Field(default_factory=list)
    network: str = "none"
    gpus: Literal["none", "nvidia", "cdi"] = "none"
    pull: Duration = 600
    memory: ByteSize = ByteSize(0)
    cpus: Annotated[float, Field(ge=0)] = 0.0
    pids: Annotated[int, Field(strict=True, ge=0)] = 512

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "container" and not self.images:
            raise ValueError("images: name the images that jobs may have, such as docker.io/pytorch/*")
        if self.kind == "process" and not self.sandbox and not self.payers:
            raise ValueError("payers: without a sandbox jobs have your own rights, so list the addresses you trust")
        return self


class Limits(Part):
    """Bounds. per_payer_queue: paid jobs of one payer that wait or run. keep_files: from a job's end."""

    queue: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 10
    per_payer_queue: Count = 2
    max_duration: Duration = 24 * 3600
    disk: ByteSize = ByteSize(100 * 10**9)
    job_disk: ByteSize = ByteSize(20 * 10**9)
    outputs: ByteSize = ByteSize(5 * 10**9)
    inputs: ByteSize = ByteSize(8 * 10**9)
    keep_files: Duration = 7 * 86_400
    requests_per_minute: Count = 300


class Payment(Part):
    """How is paid. min_price: USD a job costs at least, however short it is. max_gas_price: gwei, by the own key."""

    min_price: Annotated[Decimal, AfterValidator(_price)] = Decimal("0.01")
    max_gas_price: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(GAS_PRICE_MAX) / GWEI
    modes: Annotated[tuple[Literal["exact"], ...], Field(min_length=1, max_length=1)] = ("exact",)


class TokenChoice(Part):
    """The token that is paid with, on a network that is not known by name."""

    address: Annotated[str, Field(pattern=ADDRESS)]
    name: str = "USDC"
    version: str = "2"


class KeySource(Part):
    """Where the seller's key is: in a variable, or in a keystore (relative to the file) whose password is in one."""

    variable: str = KEY_VARIABLE
    keystore: Path | None = None
    password_variable: str = "SELLER_KEYSTORE_PASSWORD"  # noqa: S105


class Config(Part):
    """A seller. folder: where it keeps its database, jobs and inputs; relative to the file. url: its public address."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    pay_to: Annotated[str, Field(pattern=ADDRESS)]
    network: str
    offers: Annotated[list[GpuOffer], Field(min_length=1, max_length=100)]
    runner: RunnerChoice
    vendor_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    limits: Limits = Limits()
    payment: Payment = Payment()
    listen: Place = "127.0.0.1:8402"
    metrics: Place | None = "127.0.0.1:9402"
    url: WebUrl | None = None
    rpc_url: WebUrl | None = None
    token: TokenChoice | None = None
    facilitator_url: WebUrl | None = None
    key: KeySource = KeySource()
    bearer_variable: str = ""
    folder: Path = Path("seller-data")

    @model_validator(mode="after")
    def _one_offer_a_gpu(self) -> Self:
        if len({offer.gpu for offer in self.offers}) < len(self.offers):
            raise ValueError("offers: a GPU is offered twice: give it one price")
        return self

    @property
    def id(self) -> str:
        """What buyers send as x-vendor-id: the name's letters and digits, where nothing else is set."""
        return self.vendor_id or re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")[:64] or "seller"

    def catalogue(self) -> Mapping[str, Offer]:
        return {
            offer.gpu: Offer(offer.gpu, offer.price_per_hour, offer.count, offer.gpu_memory) for offer in self.offers
        }


def read_config(path: Path) -> Config:
    """The configuration in a file. Raises BadSetting, which names the place of the first mistake."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > FILE_MAX:
        raise BadSetting(f"{path} is larger than {FILE_MAX} bytes: that is no configuration")
    try:
        document: Any = read_yaml(content)
    except ValueError as error:
        raise BadSetting(f"{path} {error}") from None
    if not isinstance(document, dict):
        raise BadSetting(f"{path}: write fields such as name: and offers: (docs/selling.md)")
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"{part}: " for part in (".".join(map(str, first["loc"])),) if part)
        raise BadSetting(f"{path}: {place}{first['msg'].removeprefix('Value error, ')}") from None
    key, home = config.key, path.absolute().parent
    if key.keystore:
        key = key.model_copy(update={"keystore": home / key.keystore})
    return config.model_copy(update={"folder": home / config.folder, "key": key})
