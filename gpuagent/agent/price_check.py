"""What a vendor asks for an hour of no work in particular: `gpuagent vendor add` and `check`, and the doctor."""

from decimal import Decimal

from gpuagent.core.model import OWN_PROTOCOL, Quote, Vendor
from gpuagent.core.orders import order_text
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.workload import Workload
from gpuagent.errors import VendorError

GOAL = "price check"
NEXT_TO_NOTHING = order_text(Workload.model_validate({"name": "price-check", "command": "nvidia-smi"}).canonical, None)
"""An order that every vendor without files can run."""


def price_quote(vendor_api: VendorApi, vendor: Vendor, gpu_type: str, hours: Decimal) -> Quote:
    """A quote for no work, or from a vendor that sells none without, for next to none. Raises VendorError."""
    if vendor.protocol != OWN_PROTOCOL:
        return vendor_api.quote(vendor, GOAL, gpu_type, hours, NEXT_TO_NOTHING)
    try:
        return vendor_api.quote(vendor, GOAL, gpu_type, hours)
    except VendorError as error:
        try:
            return vendor_api.quote(vendor, GOAL, gpu_type, hours, NEXT_TO_NOTHING)
        except VendorError:
            raise error from None
