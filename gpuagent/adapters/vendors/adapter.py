"""The adapter of one vendor protocol: what it is made of, and what it offers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gpuagent.core.ports.files import Depot
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.wire.egress import Egress


@dataclass(frozen=True, slots=True)
class Parts:
    """What an adapter is made of. secret: the value of an environment variable. content: of a stored file, by SHA-256.

    now: the clock, Unix seconds. egress: certificate authorities and proxies, direct() unless given. depot: None where
    the file store signs no URLs.
    """

    secret: Callable[[str], str | None]
    now: Callable[[], float]
    content: Callable[[str], bytes]
    egress: Egress | None = None
    depot: Depot | None = None


class Adapter(VendorApi, Protocol):
    """The client of vendors of one protocol, open until it is closed."""

    def close(self) -> None: ...
