"""The port to vendors that are not recorded, and to the public lists that name them."""

from collections.abc import Sequence
from typing import Protocol

from gpuagent.core.listings import Declaration, Listing, ListReading, UnpaidAnswer


class Discovery(Protocol):
    """Strangers who sell, and who lists them. Nothing is paid, and no token is sent."""

    def listings(self, list_url: str, query: str) -> ListReading:
        """The rows of a public list that may fit a query in words. Raises BadInput, ListUnavailable."""
        ...

    def unpaid(self, listing: Listing) -> UnpaidAnswer:
        """The 402 to the listed resource's declared order. Raises VendorError."""
        ...

    def declarations(self, url: str) -> Sequence[Declaration]:
        """The vendors that the well-known document of a server has; none where it has no such document.

        Raises BadInput for a URL that is not asked, VendorError for a document that cannot be read.
        """
        ...
