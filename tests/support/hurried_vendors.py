"""Vendors that give an agent little time: their quotes or their 402s end soon."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from gpuagent.core.model import Challenge, Quote, Reserved, Vendor
from gpuagent.core.ports.vendors import VendorApi


@dataclass
class HurriedVendors:
    """The vendors behind a VendorApi. expires_at: of every quote, Unix seconds; timeout_s: of every 402."""

    inner: VendorApi
    expires_at: float
    timeout_s: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        return replace(self.inner.quote(vendor, goal, gpu_type, max_hours, order), expires_at=self.expires_at)

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        challenge = self.inner.challenge(vendor, job)
        accepts = tuple(replace(terms, max_timeout_s=self.timeout_s) for terms in challenge.accepts)
        return replace(challenge, accepts=accepts)
