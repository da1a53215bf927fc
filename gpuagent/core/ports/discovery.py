"""The port to vendors that are not recorded, and to the public lists that name them."""

from collections.abc import Sequence
from typing import Protocol

from gpuagent.core.listings import Declaration, Listing, ListReading, UnpaidAnswer


class Discovery(Protocol):
    """Vendors that are not recorded, and public lists of them. Nothing is paid, and no bearer token is sent."""

    def listings(self, list_url: str, query: str) -> ListReading:
        """The rows of a public list that may match a query. Raises BadInput, ListUnavailable."""
        ...

    def unpaid(self, listing: Listing) -> UnpaidAnswer:
        """The 402 that answers the order which the listing declares, unpaid. Raises VendorError."""
        ...

    def declarations(self, url: str) -> Sequence[Declaration]:
        """The vendors in the well-known document of a server; none where it has no such document.

        Raises BadInput for a URL that may not be fetched, VendorError for a document that cannot be read.
        """
        ...
