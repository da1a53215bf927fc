"""Vendors in an operator's vendors.json: the field names of the vendors collection, prices in USD."""

import re
from collections.abc import Mapping
from typing import Any

from gpuagent.core.model import Vendor
from gpuagent.core.money import parse_usd, usd
from gpuagent.core.networks import is_address
from gpuagent.errors import BadInput
from gpuagent.wire.bounded_http import is_encrypted_or_local

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
SECRET_ENV = "GPU_VENDOR_SECRET"  # noqa: S105 - the name of a variable


def vendor_from(entry: Mapping[str, Any]) -> Vendor:
    """The vendor in an entry. Raises BadInput naming the field that is missing or wrong."""
    try:
        vendor = Vendor(
            vendor_id=str(entry["vendorId"]),
            name=str(entry["name"]),
            endpoint=str(entry["endpoint"]),
            pay_to=str(entry["payTo"]),
            network=str(entry["network"]),
            asset=str(entry["asset"]),
            secret_env=str(entry.get("secretEnv", SECRET_ENV)),
            base_price_per_hour=parse_usd(str(entry["basePricePerHour"])),
            reliability=float(entry["reliabilityScore"]),
            gpu_types=tuple(map(str, entry["supportedGpuTypes"])),
            enabled=bool(entry.get("enabled", True)),
        )
    except KeyError as error:
        raise BadInput(f"a vendor lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"a vendor cannot be read: {error}") from error
    checks = (
        (_NAME.fullmatch(vendor.vendor_id), "vendorId", "1 to 64 letters, digits, dots, dashes"),
        (is_address(vendor.pay_to), "payTo", "0x and 40 hex digits, with a right checksum if in mixed case"),
        (is_address(vendor.asset), "asset", "0x and 40 hex digits, with a right checksum if in mixed case"),
        (_VARIABLE.fullmatch(vendor.secret_env), "secretEnv", "the name of a variable, never the token itself"),
        (vendor.endpoint.isascii() and is_encrypted_or_local(vendor.endpoint), "endpoint", "https://host"),
        (0 <= vendor.reliability <= 1, "reliabilityScore", "0 to 1"),
    )
    for holds, field, form in checks:
        if not holds:
            raise BadInput(f"{field} of vendor {vendor.vendor_id!r} is to be {form}")
    return vendor


def vendor_entry(vendor: Vendor) -> dict[str, Any]:
    """The entry of a vendor, which vendor_from() reads back."""
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": vendor.endpoint,
        "payTo": vendor.pay_to,
        "network": vendor.network,
        "asset": vendor.asset,
        "secretEnv": vendor.secret_env,
        "basePricePerHour": str(usd(vendor.base_price_per_hour)),
        "reliabilityScore": vendor.reliability,
        "supportedGpuTypes": list(vendor.gpu_types),
        "enabled": vendor.enabled,
    }
