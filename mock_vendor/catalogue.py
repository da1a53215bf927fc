"""The catalogue: the practice vendors, their GPUs and their prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from mock_vendor.settings import vendor_ids
from seller.catalogue import MICRO, Offer, Vendor

# What an hour of each GPU costs, relative to an A100.
GPU_FACTORS = {
    "A100": Decimal(1),
    "H100": Decimal("2.20"),
    "L40S": Decimal("0.70"),
    "T4": Decimal("0.25"),
}

# (name, price multiplier, reliability): dearer is more reliable, so that a planner has a choice to make.
FIRST_VENDORS = (
    ("Budget GPUs", Decimal("1.00"), 0.86),
    ("Steady Compute", Decimal("1.25"), 0.93),
    ("Premium Racks", Decimal("1.80"), 0.97),
)


@dataclass(frozen=True)
class PracticeVendor(Vendor):
    """A vendor with a reputation. base_price_per_hour: USD for an hour of A100."""

    base_price_per_hour: Decimal
    reliability_score: float


def make_vendors(count: int, base_price: Decimal, payees: Sequence[str]) -> dict[str, PracticeVendor]:
    """The first `count` vendors; when payees are few, several vendors share one."""
    vendors = {}
    for number, vendor_id in enumerate(vendor_ids(count), start=1):
        name, multiplier, reliability = _terms(number)
        base = (base_price * multiplier).quantize(MICRO, ROUND_HALF_UP)
        payee = payees[(number - 1) % len(payees)]
        vendors[vendor_id] = PracticeVendor(vendor_id, name, payee, offers(base), base, reliability)
    return vendors


def offers(base_price_per_hour: Decimal) -> dict[str, Offer]:
    """All GPUs at the prices that follow from an A100's."""
    return {gpu: Offer(gpu, base_price_per_hour * factor) for gpu, factor in GPU_FACTORS.items()}


def _terms(number: int) -> tuple[str, Decimal, float]:
    if number <= len(FIRST_VENDORS):
        return FIRST_VENDORS[number - 1]
    step = number - len(FIRST_VENDORS)
    return (
        f"Vendor {number}",
        Decimal("0.90") + Decimal("0.07") * (step % 12),
        round(0.80 + 0.015 * (step % 12), 3),
    )
