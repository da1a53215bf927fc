"""The parameters of a report, as users give them."""

from dataclasses import dataclass, fields

from gpuagent.core.text import is_web_url
from gpuagent.errors import BadInput
from gpuagent.reports.figures import groups


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """The parameters of a report. Empty user, tag or vendor: all. currency, rate: beside USD, such as EUR, 0.92.

    server: the address of a gpuagent server, to which the names of files link; "" for none. by: what the page groups
    spend by, of groups.NOUNS; exports do not. Raises BadInput for anything else.
    """

    period: str = "30d"
    user: str = ""
    tag: str = ""
    vendor: str = ""
    currency: str = ""
    rate: str = ""
    server: str = ""
    by: str = "vendor"

    def __post_init__(self) -> None:
        """papermill makes a number of a parameter such as 2026."""
        for field in fields(self):
            object.__setattr__(self, field.name, str(getattr(self, field.name)).strip())
        groups.check_dimension(self.by)


def check_server(address: str) -> None:
    """Raises BadInput for what is no address of a web server."""
    if address and not is_web_url(address):
        raise BadInput(f"server {address[:60]!r} is no address: write it like https://gpuagent.example")
