"""An entry of vendors.json, checked field by field. No message shows a value: it may be a token in the wrong place."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from gpuagent.adapters.vendors.registry import PROTOCOLS
from gpuagent.core.model import OWN_PROTOCOL, Settles, Vendor
from gpuagent.core.money import parse_usd
from gpuagent.core.networks import NOWHERE, PROFILES, is_address, is_caip2
from gpuagent.core.rules import LIFE_MAX_S
from gpuagent.core.text import clean
from gpuagent.errors import BadInput
from gpuagent.wire.bounded_http import is_endpoint

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
SECRET_ENV = "GPU_VENDOR_SECRET"  # noqa: S105 - the name of a variable


def _vendor_id(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("is to be 1 to 64 letters, digits, dots, dashes, underscores")
    return text


def _line(text: str) -> str:
    if not text.strip() or clean(text, 128) != text:
        raise ValueError("is to be a line of 1 to 128 characters")
    return text


def _endpoint(text: str) -> str:
    if not is_endpoint(text):
        raise ValueError("is to be https://host, http:// on this machine alone, without a user, ? or #")
    return text


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("is to be 0x and 40 hex digits, with a right checksum if in mixed case")
    if text.lower() == NOWHERE:
        raise ValueError("is the address of no one: what is paid to it is lost")
    return text


def _network(text: str) -> str:
    if not is_caip2(text):
        names = ", ".join(f"{profile.caip2} for {profile.name}" for profile in PROFILES)
        raise ValueError(f"is to be a CAIP-2 network: {names}")
    return text


def _secret_env(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError("is to be the name of a variable, never the token itself")
    return text


def _price(value: object) -> int:
    try:
        return parse_usd(value if isinstance(value, bool | str | int | Decimal) else repr(value))
    except BadInput:
        raise ValueError("is to be a price in USD of 0 or more, such as 1.40, of at most 6 decimals") from None


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 0 <= value <= 1:
        raise ValueError("is to be a number from 0 to 1, without quotes")
    return float(value)


def _gpu_types(texts: list[str]) -> list[str]:
    if not texts:
        raise ValueError("is to name a GPU at least")
    return [_line(text) for text in texts]


def _protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise ValueError(f"is to be a protocol that is spoken here: {', '.join(PROTOCOLS)}")
    return text


def _version(number: int) -> int:
    if number not in (1, 2):
        raise ValueError("is to be 2, or 1 for a vendor that speaks nothing newer")
    return number


def _settles(text: str) -> str:
    if text not in list(Settles):
        raise ValueError(f"is to be {' or '.join(Settles)}: when the vendor takes what it was authorized")
    return text


def _life(seconds: int) -> int:
    if not 0 <= seconds <= LIFE_MAX_S:
        raise ValueError(f"is to be a whole number of seconds, 0 to {LIFE_MAX_S}; 0 for the usual two minutes")
    return seconds


Text = Annotated[str, StringConstraints(strict=True)]


class Entry(BaseModel):
    """A vendor in the file. Its fields are the file's, in their order there."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    vendorId: Annotated[Text, AfterValidator(_vendor_id)]  # noqa: N815 - the file's name
    name: Annotated[Text, AfterValidator(_line)]
    endpoint: Annotated[Text, AfterValidator(_endpoint)]
    payTo: Annotated[Text, AfterValidator(_address)]  # noqa: N815
    network: Annotated[Text, AfterValidator(_network)]
    asset: Annotated[Text, AfterValidator(_address)]
    secretEnv: Annotated[Text, AfterValidator(_secret_env)] | None = SECRET_ENV  # noqa: N815
    basePricePerHour: Annotated[int, BeforeValidator(_price)]  # noqa: N815
    reliabilityScore: Annotated[float, BeforeValidator(_share)]  # noqa: N815
    supportedGpuTypes: Annotated[list[Text], AfterValidator(_gpu_types)]  # noqa: N815
    enabled: bool = True
    trusted: bool = False
    protocol: Annotated[Text, AfterValidator(_protocol)] = OWN_PROTOCOL
    x402Version: Annotated[int, AfterValidator(_version)] = 2  # noqa: N815
    settles: Annotated[Text, AfterValidator(_settles)] = Settles.BEFORE.value
    maxAuthorizationSeconds: Annotated[int, AfterValidator(_life)] = 0  # noqa: N815
    proven: bool = True
    refundAddress: Annotated[Text, AfterValidator(_address)] | None = None  # noqa: N815

    def vendor(self) -> Vendor:
        return Vendor(
            vendor_id=self.vendorId,
            name=self.name,
            endpoint=self.endpoint,
            pay_to=self.payTo,
            network=self.network,
            asset=self.asset,
            secret_env=self._token_variable(),
            base_price_per_hour=self.basePricePerHour,
            reliability=self.reliabilityScore,
            gpu_types=tuple(self.supportedGpuTypes),
            enabled=self.enabled,
            trusted=self.trusted,
            protocol=self.protocol,
            x402_version=self.x402Version,
            settles=Settles(self.settles),
            max_authorization_s=self.maxAuthorizationSeconds,
            proven=self.proven,
            refund_address=self.refundAddress or "",
        )

    def _token_variable(self) -> str:
        """null, and no word of it beside another protocol, mean a vendor without accounts."""
        if "secretEnv" not in self.model_fields_set and self.protocol != OWN_PROTOCOL:
            return ""
        return self.secretEnv or ""


FIELDS = tuple(Entry.model_fields)
WORDS = {
    "missing": "is missing",
    "string_type": "is to be a text in quotes",
    "bool_type": "is to be true or false, without quotes",
    "int_type": "is to be a whole number, without quotes",
    "list_type": 'is to be a list, such as ["A100"]',
    "dict_type": "is to be an object",
    "model_type": "is to be an object",
    "model_attributes_type": "is to be an object",
}
"""The words for pydantic's kinds of error."""
