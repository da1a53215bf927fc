"""Downloads of files that users name by URL: https only, bounded, and on demand from public addresses only."""

from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import httpx

from gpuagent.errors import BadInput
from gpuagent.wire.bounded_http import TRANSPORT_ERRORS
from gpuagent.wire.compression import CompressionError, Unpacker
from gpuagent.wire.egress import Egress
from gpuagent.wire.public_addresses import is_public_host
from gpuagent.wire.transport import Transport, deadline

REDIRECTS_MAX = 5
DOWNLOAD_S = 600.0
"""Seconds that a download may take."""


@dataclass(frozen=True, slots=True)
class Download:
    """How files are fetched. file_max: bytes of one. public_only: never from this machine or its network."""

    egress: Egress
    file_max: int = 10**12
    seconds: float = DOWNLOAD_S
    public_only: bool = False

    def parts(self, url: str) -> Iterator[bytes]:
        """The content at a URL, unproven. Raises BadInput, which shows no query: that may be a key."""
        client = httpx.Client(
            transport=Transport(self.egress, public_only=self.public_only),
            timeout=self.seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        try:
            with deadline(self.seconds), client:
                yield from self._follow(client, url)
        except CompressionError as error:  # among them that it is too large
            raise BadInput(f"{_shown(url)} answered {error}") from None
        except (*TRANSPORT_ERRORS, ValueError) as error:  # httpx and urllib raise the last for what is no URL
            reason = type(error).__name__ if "?" in str(error) else f"{type(error).__name__}: {error}"
            raise BadInput(f"{_shown(url)} could not be fetched ({reason[:200]}): nothing was started") from None

    def _follow(self, client: httpx.Client, url: str) -> Iterator[bytes]:
        for _ in range(REDIRECTS_MAX + 1):
            self._check(url)
            with client.stream("GET", url) as response:
                if response.is_redirect:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status_code != 200:
                    raise BadInput(f"{_shown(url)} answered {response.status_code}: nothing was started")
                unpacker = Unpacker(response.headers.get("Content-Encoding", ""), self.file_max)
                for chunk in response.iter_raw():
                    yield unpacker.feed(chunk)
                unpacker.finish()
                return
        raise BadInput(f"{_shown(url)} redirects more than {REDIRECTS_MAX} times")

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise BadInput(f"{_shown(url)} is not https: an input is fetched over https alone, redirects too")
        if self.public_only and not is_public_host(parts.hostname):
            raise BadInput(f"{_shown(url)} is an address of the server's own network, which it does not ask for others")


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]
