"""The document at /.well-known/x402, by which a seller says what it sells, and our own part of it.

The common form is `{"version": 1, "resources": [URL, ...]}`; some write objects with `resource` or `url` instead of
texts, or the method before the URL. What our sellers add stands under `gpuagent`, one object or a list of them:
`{protocol, vendorId, name, gpus: [{gpu, count, pricePerHour}], payTo, network, asset, accepts, bearer}`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gpuagent.adapters.discovery.addresses import may_be_asked
from gpuagent.core.listings import VENDOR_ID, Declaration, origin
from gpuagent.core.money import nearest_usd, parse_usd
from gpuagent.core.networks import NOWHERE, is_address
from gpuagent.core.text import clean
from gpuagent.errors import BadInput, VendorError
from gpuagent.wire import strict_json

OWN = "gpuagent"
ORDER_ROUTE = "/submit-job"
VENDORS_MAX, GPUS_MAX, RESOURCES_MAX, WORDS_MAX = 50, 50, 200, 20
TEXT_MAX = 128


def declarations(body: bytes, url: str) -> tuple[Declaration, ...]:
    """The vendors that a document declares, none where it has no part of ours. Raises VendorError naming the field.

    url: the server as the user typed it; resources elsewhere do not count.
    """
    try:
        document = strict_json.parse(body)
    except ValueError as error:
        raise VendorError(f"the well-known document of {url} is not JSON") from error
    if not isinstance(document, dict):
        raise VendorError(f"the well-known document of {url} is not an object")
    own = document.get(OWN)
    parts = own if isinstance(own, list) else [] if own is None else [own]
    endpoint = _endpoint(document.get("resources"), url)
    try:
        return tuple(_declaration(part, endpoint) for part in parts[:VENDORS_MAX])
    except (TypeError, ValueError, BadInput) as error:
        raise VendorError(f"the well-known document of {url}: {OWN}: {clean(str(error), 200)}") from error


def _endpoint(resources: object, url: str) -> str:
    """The URL that the routes stand behind: before the order's route, where that is a resource of the same server."""
    for entry in resources[:RESOURCES_MAX] if isinstance(resources, list) else []:
        text = entry.get("resource", entry.get("url")) if isinstance(entry, dict) else entry
        resource = text.rpartition(" ")[2] if isinstance(text, str) else ""
        if resource.endswith(ORDER_ROUTE) and may_be_asked(resource, local=True) and origin(resource) == origin(url):
            return resource.removesuffix(ORDER_ROUTE)
    return url.removesuffix(ORDER_ROUTE)


def _declaration(part: object, endpoint: str) -> Declaration:
    if not isinstance(part, dict):
        raise TypeError("is to be an object")
    accepts, bearer = part.get("accepts"), part.get("bearer", True)
    if not isinstance(bearer, bool):
        raise TypeError("bearer is to be true or false")
    return Declaration(
        endpoint=endpoint,
        protocol=_text(part, "protocol"),
        vendor_id=_vendor_id(part),
        name=_text(part, "name"),
        pay_to=_address(part, "payTo"),
        network=_text(part, "network"),
        asset=_address(part, "asset"),
        gpu_prices=_gpu_prices(part.get("gpus")),
        accepts=tuple(clean(word, TEXT_MAX) for word in accepts[:WORDS_MAX] if isinstance(word, str))
        if isinstance(accepts, list)
        else (),
        bearer=bearer,
    )


def _gpu_prices(gpus: object) -> Mapping[str, int]:
    """The price by GPU, the lowest where a GPU is offered more than once."""
    if not isinstance(gpus, list) or not gpus:
        raise ValueError("gpus is to be a list of what it offers")
    prices: dict[str, int] = {}
    for entry in gpus[:GPUS_MAX]:
        if not isinstance(entry, dict):
            raise TypeError("gpus is to be a list of objects")
        gpu, amount = _text(entry, "gpu"), _amount(entry.get("pricePerHour"))
        prices[gpu] = min(amount, prices.get(gpu, amount))
    return prices


def _amount(value: object) -> int:
    amount = parse_usd(nearest_usd(value) if isinstance(value, Decimal) else value)  # type: ignore[arg-type]
    if amount <= 0:
        raise ValueError("pricePerHour is to be above 0")
    return amount


def _vendor_id(part: Mapping[str, Any]) -> str:
    text = _text(part, "vendorId")
    if not VENDOR_ID.fullmatch(text):
        raise ValueError("vendorId is to be 1 to 64 letters, digits, dots, dashes, underscores")
    return text


def _address(part: Mapping[str, Any], name: str) -> str:
    text = _text(part, name)
    if not is_address(text) or text == NOWHERE:
        raise ValueError(f"{name} is to be an address: 0x and 40 hex digits, with a right checksum if in mixed case")
    return text


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str) or not value.strip() or clean(value, TEXT_MAX) != value:
        raise ValueError(f"{name} is to be a line of 1 to {TEXT_MAX} characters")
    return value
