"""Live quotes: every candidate vendor is asked at once for the price of one job. Writes nothing."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from gpuagent.agent.guard import check_payee
from gpuagent.core import gpus, policy
from gpuagent.core.model import Job, Quote, Run, Vendor
from gpuagent.core.orders import order_text
from gpuagent.core.ports import Ports
from gpuagent.core.resume import Remainder, remainder
from gpuagent.errors import PayeeChanged, PolicyRefused, VendorError, VendorUnauthorized

QUOTE_LIFE_MAX_S = policy.APPROVAL_MAX_S
"""No quote is taken to be valid for longer: until then at most, what is reserved for it counts against the caps."""


class QuoteResult(NamedTuple):
    """A vendor's binding quote, or why it has none: one of the two is None."""

    quote: Quote | None
    error: VendorError | PolicyRefused | None


def quotes_of(
    run: Run,
    vendors: Sequence[Vendor],
    index: int,
    rules: policy.Policy,
    ports: Ports,
    changed: Callable[[PayeeChanged, Vendor], None] | None = None,
    late: Job | None = None,
) -> list[QuoteResult]:
    """The vendors' quotes for the run's job at the index, in the order of the vendors. A halted one is not asked.

    changed: is told of each that named another payee than the recorded one, whatever comes of the others. late: the
    job that a purchase would hedge. Raises VendorUnauthorized when no vendor quoted and one refused our token.
    """
    rest = remainder(run, index)
    order = order_text(run.workload, rest.checkpoint, index, run.count)

    def result(vendor: Vendor) -> QuoteResult:
        try:
            quote = _quote(run, vendor, rest, order, rules, ports)
        except (VendorError, PolicyRefused) as error:
            return QuoteResult(None, error)
        return QuoteResult(replace(quote, index=index, hedges=late.job_id if late else ""), None)

    with ThreadPoolExecutor(max_workers=max(1, len(vendors) - 1)) as pool:
        answers = pool.map(result, vendors[1:])
        # The first in this thread, which would only wait: another takes longer to begin than most vendors to answer.
        results = [*map(result, vendors[:1]), *answers]
    for vendor, (_, error) in zip(vendors, results, strict=True):
        if changed and isinstance(error, PayeeChanged):
            changed(error, vendor)
    refusals = [error for _, error in results if isinstance(error, VendorUnauthorized)]
    if refusals and all(quote is None for quote, _ in results):
        raise refusals[0]
    return results


def _quote(run: Run, vendor: Vendor, rest: Remainder, order: str, rules: policy.Policy, ports: Ports) -> Quote:
    """Raises VendorError, and PolicyRefused where the vendor is halted."""
    if halt := policy.halt(rules, run.payer, vendor.vendor_id):
        raise PolicyRefused(f"not asked: {halt.text}")
    gpu_type = gpus.spelling(run.gpu_type, vendor.gpu_types) or run.gpu_type
    quote = ports.vendor_api.quote(vendor, run.goal, gpu_type, rest.hours, order)
    check_payee(quote, vendor)
    expires_at = min(quote.expires_at, ports.clock.now() + QUOTE_LIFE_MAX_S)
    return replace(quote, expires_at=expires_at, protocol=vendor.protocol)
