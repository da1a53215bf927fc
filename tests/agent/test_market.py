"""Whom a run may buy from at all, before anybody is asked."""

from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent.vendors import candidates
from gpuagent.core.model import Vendor
from gpuagent.errors import UnknownVendor
from tests.support.factories import RUN, TOKEN, VENDOR

SECOND = replace(VENDOR, vendor_id="gpu_vendor_2")


def names(vendors: tuple[Vendor, ...], **changes: Any) -> list[str]:
    return [vendor.vendor_id for vendor in candidates(replace(RUN, **changes), vendors, TOKEN)]


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"gpu_types": ("L4", "H100")},
        {"network": "eip155:8453"},
        {"asset": "0x" + "9" * 40},
    ],
)
def test_a_vendor_that_is_off_or_sells_something_else_or_is_paid_otherwise_is_none(change: dict[str, Any]) -> None:
    """Nor when the run names it."""
    vendors = (replace(VENDOR, **change), SECOND)
    assert names(vendors) == ["gpu_vendor_2"]
    assert names(vendors, vendor_ids=("gpu_vendor_1",)) == []


def test_the_vendors_that_a_run_names_are_all_it_asks() -> None:
    vendors = (
        VENDOR,
        SECOND,
        replace(VENDOR, vendor_id="gpu_vendor_3", asset=VENDOR.asset.upper().replace("0X", "0x")),
    )
    assert names(vendors) == ["gpu_vendor_1", "gpu_vendor_2", "gpu_vendor_3"]
    assert names(vendors, vendor_ids=("gpu_vendor_3", "gpu_vendor_1")) == ["gpu_vendor_3", "gpu_vendor_1"]
    with pytest.raises(UnknownVendor, match="no vendor 'gpu_vendor_9'"):
        names(vendors, vendor_ids=("gpu_vendor_1", "gpu_vendor_9"))
