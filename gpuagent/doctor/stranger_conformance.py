"""Conformance checks of a vendor of another protocol than ours: `gpuagent vendor check --protocol`. Nothing is paid."""

from dataclasses import replace

from gpuagent.agent.enlist import Wishes, declared_vendor, examined
from gpuagent.agent.stranger import probed_declaration
from gpuagent.core.model import Quote, Reserved, Token, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.ports.discovery import Discovery
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.doctor.probe import ConformanceResult, Probe
from gpuagent.doctor.promises import PROMISES
from gpuagent.errors import BadInput, GpuAgentError, Refused, VendorError
from gpuagent.wire.bounded_http import BoundedHttp, is_encrypted_or_local

ASKS = "asks by 402 for a payment to one payee, in our token"
VERSION = "asks in version 2 of x402"
QUOTES = "asks our own order for a price"
AGAIN = "asks for the same when it is asked again"
ALIKE = "answers an order twice alike"


def check_stranger(
    url: str,
    wishes: Wishes,
    token: Token,
    discovery: Discovery,
    vendor_api: VendorApi,
    http: BoundedHttp,
    order: str,
) -> list[ConformanceResult]:
    """What every vendor is held to, then what its protocol promises; without a 402 nothing more can be tried.

    wishes: protocol, GPU and id, and pay_to where only that payee is right. order: an id for unpaid orders, 24 hex
    digits. Raises BadInput for a URL or a protocol that is not asked.
    """
    if not is_encrypted_or_local(url):
        raise BadInput(f"{url} is not https: what is sent could be read, and changed, on the way")
    try:
        declaration = probed_declaration(url, wishes.protocol, wishes.vendor_id, wishes.gpu_types, token, discovery)
    except (Refused, VendorError) as error:
        return [ConformanceResult(ASKS, False, str(error))]
    vendor = declared_vendor(url, [declaration], replace(wishes, secret_env=""), token)
    paid = f"{vendor.pay_to} on {vendor.network}"
    is_right = wishes.pay_to.lower() in ("", vendor.pay_to.lower())
    return [
        ConformanceResult(ASKS, is_right, paid if is_right else f"{paid}, and {wishes.pay_to} is the right one"),
        _version(vendor),
        *_prices(vendor, replace(wishes, pay_to=""), token, vendor_api, order),
        *PROMISES[vendor.protocol](Probe(vendor, http, {}), vendor.gpu_types[0]),
    ]


def _version(vendor: Vendor) -> ConformanceResult:
    if vendor.x402_version == 2:
        return ConformanceResult(VERSION, True, "version 2")
    detail = f"version {vendor.x402_version}: it is bought from with that in its record (x402Version), else refused"
    return ConformanceResult(VERSION, False, detail)


def _prices(vendor: Vendor, wishes: Wishes, token: Token, vendor_api: VendorApi, order: str) -> list[ConformanceResult]:
    """What the agent itself is asked for, and whether that holds."""
    try:
        proposal = examined(vendor, [], wishes, token, vendor_api, order)
    except GpuAgentError as error:
        return [ConformanceResult(QUOTES, False, str(error))]
    quote = proposal.quote
    price = f"{show_usd(quote.amount)} for {quote.max_hours.normalize():f} h of {quote.gpu_type}"
    return [
        ConformanceResult(QUOTES, True, price),
        ConformanceResult(AGAIN, not proposal.differences, "; ".join(proposal.differences) or f"again {price}"),
        _alike(vendor, quote, vendor_api, order),
    ]


def _alike(vendor: Vendor, quote: Quote, vendor_api: VendorApi, order: str) -> ConformanceResult:
    """Of several offers the order may change."""
    try:
        first, second = (
            {(terms.network, terms.asset, terms.pay_to, terms.amount) for terms in challenge.accepts}
            for challenge in (vendor_api.challenge(vendor, Reserved(order, quote, 0)) for _ in range(2))
        )
    except GpuAgentError as error:
        return ConformanceResult(ALIKE, False, str(error))
    return ConformanceResult(ALIKE, first == second, "the same 402" if first == second else "another 402")
