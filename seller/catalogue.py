"""What is sold, and for how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

MICRO = Decimal("0.000001")
"""USD: the smallest unit of the token."""


@dataclass(frozen=True)
class Offer:
    """A kind of GPU. price_per_hour: USD. count: jobs that run on it at once, None for any number."""

    gpu: str
    price_per_hour: Decimal
    count: int | None = None
    gpu_memory: str = ""

    def price(self, hours: Decimal) -> Decimal:
        """USD to six decimal places, and never nothing."""
        return max((self.price_per_hour * hours).quantize(MICRO, ROUND_HALF_UP), MICRO)


@dataclass(frozen=True)
class Vendor:
    """Who sells. pay_to: the address that is paid. offers: by kind of GPU."""

    vendor_id: str
    name: str
    pay_to: str
    offers: Mapping[str, Offer]
