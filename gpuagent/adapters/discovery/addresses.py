"""Which untrusted URLs may be fetched: https on the public internet, and this machine on the user's request."""

from urllib.parse import urlsplit, urlunsplit

from gpuagent.core.text import is_web_url
from gpuagent.errors import BadInput
from gpuagent.wire.loopback import is_loopback
from gpuagent.wire.public_addresses import is_public_host

URL_MAX = 500
PAGES = ("resources", "search")
"""What a list's URL may end in: it is taken as a user copies it."""


def is_local(url: str) -> bool:
    """Whether the URL's host is this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def may_be_asked(url: str, *, local: bool) -> bool:
    """Whether an untrusted URL may be fetched. local: whether one on this machine may."""
    if len(url) > URL_MAX or not is_web_url(url) or set(url) & set("\\#@") or not url.isprintable():
        return False
    if is_local(url):
        return local
    parts = urlsplit(url)
    return parts.scheme == "https" and is_public_host(parts.hostname or "")


def check_typed(url: str, what: str) -> str:
    """A URL that the user typed, without a slash at its end. Raises BadInput."""
    if not may_be_asked(url, local=True) or "?" in url:
        raise BadInput(
            f"{what} is not asked at this URL: write https://HOST/PATH of a public host, or http:// on this machine, "
            "without a user, ? or #"
        )
    return url.rstrip("/")


def list_base(url: str) -> str:
    """The URL that a list's /resources and /search stand behind. Raises BadInput."""
    base = check_typed(url, "a list")
    head, _, last = base.rpartition("/")
    if last in PAGES:
        base = head
    return base if base.endswith("/discovery") else f"{base}/discovery"


def server_of(url: str) -> str:
    """Scheme, host and port of a URL, as it has them."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
