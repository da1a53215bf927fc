"""Quotes of vendors that have none to give: what an unpaid order is asked for now is the price, for a short time."""

from collections.abc import Sequence
from decimal import Decimal

from gpuagent.core.model import Challenge, Quote, Vendor
from gpuagent.core.terms import priced

PROBE_S = 300.0
"""A price that was asked for by an unpaid order counts for so long; it is asked for once more before a signature."""


def probed_quote(
    vendor: Vendor,
    challenge: Challenge,
    gpu_type: str,
    max_hours: Decimal,
    order: str,
    now: float,
    *,
    accepts: Sequence[str] = (),
    template_id: str = "unpaid order",
    eta_s: float = 0.0,
) -> Quote:
    """The quote that a 402 stands for: of the entries with the recorded network, asset and payee the cheapest.

    now: Unix seconds. accepts: what the protocol can (orders.ACCEPTS). Raises OfferInvalid where no entry is of these.
    """
    terms = priced(challenge, vendor)
    return Quote(
        vendor_id=vendor.vendor_id,
        template_id=template_id,
        amount=int(terms.amount),
        pay_to=terms.pay_to,
        network=terms.network,
        asset=terms.asset,
        expires_at=now + PROBE_S,
        eta_s=eta_s,
        gpu_type=gpu_type,
        max_hours=max_hours,
        order=order,
        accepts=tuple(accepts),
    )
