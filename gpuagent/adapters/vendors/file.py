"""Vendors in an operator's vendors.json: the field names of the vendors collection, prices in USD.

Read strictly: whom to pay comes from here. A file with any fault in it gives no vendor at all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpuagent.adapters.vendors.entry import FIELDS, NAME, WORDS, Entry
from gpuagent.core.model import Vendor
from gpuagent.core.money import usd
from gpuagent.core.text import clean, nearest
from gpuagent.errors import BadInput
from gpuagent.wire import strict_json
from gpuagent.wire.json_places import Place, Places, locate

FILE_MAX = 1024 * 1024
"""Bytes: thousands of vendors."""
FAULTS_MAX = 20
FORM = '{"vendors": [...]}'


def vendor_from(entry: Mapping[str, Any]) -> Vendor:
    """The vendor in an entry. Raises BadInput naming the fields that are missing or wrong."""
    vendor, faults = _read(entry, ())
    if vendor is None:
        raise BadInput(f"a vendor cannot be read: {'; '.join(f'{_field(path)} {fault}' for path, fault in faults)}")
    return vendor


def read_vendors(file: Path) -> tuple[Vendor, ...]:
    """The vendors in a file. Raises BadInput with a line for each fault: the line in the file, the field, the form."""
    try:
        with file.open("rb") as content:
            body = content.read(FILE_MAX + 1)
        return _vendors(body)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or type(error).__name__}") from error
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None


def _vendors(body: bytes) -> tuple[Vendor, ...]:
    if len(body) > FILE_MAX:
        raise BadInput(f"it is larger than {FILE_MAX} bytes: write only the vendors")
    try:
        text = body.decode("utf-8-sig")
        data = strict_json.parse(text.encode())
    except UnicodeDecodeError:
        raise BadInput(f"it is not UTF-8 text: save it as UTF-8; it is to hold {FORM}") from None
    except ValueError as error:
        raise BadInput(f"it is not JSON ({error if text.strip() else 'it is empty'}): write {FORM}") from None
    places = locate(text)
    entries = data.get("vendors") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(entries, list):
        raise BadInput(f"it is not {FORM}")
    faults: list[tuple[Place, str]] = [((key,), "is no field of the file") for key in data if key != "vendors"]
    vendors: list[Vendor] = []
    for number, entry in enumerate(entries):
        vendor, wrong = _read(entry, ("vendors", number))
        faults += wrong
        if vendor:
            twin = next((other for other in vendors if other.vendor_id.lower() == vendor.vendor_id.lower()), None)
            if twin:
                faults.append((("vendors", number, "vendorId"), f"is {twin.vendor_id!r} again: write each vendor once"))
            vendors.append(vendor)
    if not entries:
        faults.append((("vendors",), "has no vendor"))
    if faults or places.repeated:
        raise BadInput(_explained(faults, places, entries))
    return tuple(vendors)


def _read(entry: object, path: Place) -> tuple[Vendor | None, list[tuple[Place, str]]]:
    """The vendor in an entry, or the faults of its fields."""
    try:
        checked = Entry.model_validate(entry)
    except ValidationError as error:
        return None, [
            ((*path, *detail["loc"]), _words(detail["type"], detail["msg"], detail["loc"])) for detail in error.errors()
        ]
    if checked.payTo.lower() == checked.asset.lower():
        return None, [((*path, "payTo"), "is the token's own address: what is paid to it is lost")]
    return checked.vendor(), []


def _words(kind: str, message: str, location: Place) -> str:
    if kind == "extra_forbidden":
        field = nearest(str(location[-1]), FIELDS)
        return f"is no field of a vendor{f': did you mean {field}?' if field else ''}"
    return WORDS.get(kind) or message.removeprefix("Value error, ")


def _explained(faults: list[tuple[Place, str]], places: Places, entries: list[Any]) -> str:
    repeated = [(line, path, "is written twice in one object") for path, line in places.repeated]
    lines = sorted(
        [*((places.line(path), path, fault) for path, fault in faults), *repeated], key=lambda fault: fault[0]
    )
    texts = [f"line {line}: {_field(path)}{_owner(path, entries)} {fault}" for line, path, fault in lines[:FAULTS_MAX]]
    if len(lines) > FAULTS_MAX:
        texts.append(f"and {len(lines) - FAULTS_MAX} faults more")
    return "\n  ".join(["nothing was recorded:", *texts])


def _field(path: Place) -> str:
    """The field in a path, its index behind it; of keys that are no field only what is safe to show."""
    names = [str(part) for part in path if isinstance(part, str)]
    field = clean(names[-1], 40) if names else "it"
    return f"{field}[{path[-1]}]" if names and isinstance(path[-1], int) else field


def _owner(path: Place, entries: list[Any]) -> str:
    if len(path) < 3 or not isinstance(path[1], int):
        return ""
    entry = entries[path[1]] if path[1] < len(entries) else None
    vendor_id = entry.get("vendorId") if isinstance(entry, dict) else None
    known = isinstance(vendor_id, str) and NAME.fullmatch(vendor_id)
    return f" of vendor {vendor_id!r}" if known else f" of vendor number {path[1] + 1}"


def vendor_entry(vendor: Vendor) -> dict[str, Any]:
    """The entry of a vendor, which vendor_from() reads back."""
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": vendor.endpoint,
        "payTo": vendor.pay_to,
        "network": vendor.network,
        "asset": vendor.asset,
        "secretEnv": vendor.secret_env or None,
        "basePricePerHour": str(usd(vendor.base_price_per_hour)),
        "reliabilityScore": vendor.reliability,
        "supportedGpuTypes": list(vendor.gpu_types),
        "enabled": vendor.enabled,
        "trusted": vendor.trusted,
        "protocol": vendor.protocol,
        "x402Version": vendor.x402_version,
        "settles": vendor.settles.value,
        "maxAuthorizationSeconds": vendor.max_authorization_s,
        "proven": vendor.proven,
        "refundAddress": vendor.refund_address or None,
    }
