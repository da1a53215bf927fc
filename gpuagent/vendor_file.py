"""Vendors as an operator writes them down: JSON with DESIGN's field names, prices in USD."""

from collections.abc import Mapping
from typing import Any

from gpuagent.errors import BadInput
from gpuagent.model import Vendor
from gpuagent.money import parse_usd, usd

SECRET_ENV = "GPU_VENDOR_SECRET"  # noqa: S105 - the name of a variable


def vendor_from(entry: Mapping[str, Any]) -> Vendor:
    """Raises BadInput naming the field that is missing or wrong."""
    try:
        return Vendor(
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


def vendor_entry(vendor: Vendor) -> dict[str, Any]:
    """What vendor_from() reads back."""
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
