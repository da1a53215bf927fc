"""Lists, sellers and a new vendor without a server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from gpuagent.core.listings import Declaration, Listing, ListReading, UnpaidAnswer
from gpuagent.core.model import Challenge, Quote, Reserved, Terms, Vendor
from gpuagent.errors import GpuAgentError, VendorError
from tests.support.factories import ASSET, PAYEE, TERMS, TOKEN, quote

LIST = "https://list.example/discovery"
ORDER = ("vendorJobTemplateId", "jobParams")


def listing(name: str, amount: int = 1_400_000, **changes: Any) -> Listing:
    """A listed seller of H100 jobs by our protocol."""
    default = Listing(
        resource=f"https://{name}.example/submit-job",
        name=name,
        description="an H100 job",
        offers=(replace(TERMS, amount=str(amount)),),
        payers=10,
        fields=ORDER,
        source=LIST,
    )
    return replace(default, **changes)


def declaration(**changes: Any) -> Declaration:
    default = Declaration(
        endpoint="https://box.example",
        protocol="gpuagent/1",
        vendor_id="box",
        name="Box in the cellar",
        pay_to=PAYEE,
        network=TOKEN.network,
        asset=ASSET,
        gpu_prices={"A100": 1_400_000},
        accepts=("workload",),
    )
    return replace(default, **changes)


@dataclass
class FakeDiscovery:
    """The port. lists: rows or an error by URL. answers: by resource, the listed terms for others. asked: resources."""

    lists: Mapping[str, Sequence[Listing] | GpuAgentError]
    answers: Mapping[str, UnpaidAnswer | VendorError] = field(default_factory=dict)
    searches: bool = True
    asked: list[str] = field(default_factory=list)

    def listings(self, list_url: str, query: str) -> ListReading:
        rows = self.lists[list_url]
        if isinstance(rows, GpuAgentError):
            raise rows
        return ListReading(tuple(rows), self.searches)

    def unpaid(self, listing: Listing) -> UnpaidAnswer:
        self.asked.append(listing.resource)
        answer = self.answers.get(listing.resource, UnpaidAnswer(2, listing.offers))
        if isinstance(answer, VendorError):
            raise answer
        return answer

    def declarations(self, url: str) -> Sequence[Declaration]:
        return ()


@dataclass
class NewVendorApi:
    """The calls of a vendor that is examined. asked: the variables whose token it was sent. needs_work: as of ours."""

    quote_changes: Mapping[str, Any] = field(default_factory=dict)
    offers: tuple[Terms, ...] = (TERMS,)
    asked: list[str] = field(default_factory=list)
    needs_work: bool = False

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        self.asked.append(vendor.secret_env)
        if self.needs_work and not order:
            raise VendorError("answered 422: name the workload that is to run: nothing is sold without")
        return quote(vendor_id=vendor.vendor_id, gpu_type=gpu_type, max_hours=max_hours, **self.quote_changes)

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        return Challenge(self.offers)
