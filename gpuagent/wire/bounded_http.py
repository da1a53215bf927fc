"""An HTTP client for untrusted servers: one deadline, capped sizes, no redirects, no implicit proxy."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from gpuagent.core.text import is_web_url
from gpuagent.wire.compression import BodyTooLarge, CompressionError, Unpacker
from gpuagent.wire.core_requests import URLS_KEPT, json_request, of_httpx
from gpuagent.wire.credentials import secrets_sent
from gpuagent.wire.egress import Egress, direct
from gpuagent.wire.loopback import LOOPBACK
from gpuagent.wire.scrub import KEY, Scrubber
from gpuagent.wire.transport import Transport, deadline

BODY_MAX = 64 * 1024
PROBLEM_MAX = 300
TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    OSError,
)


class HttpFailed(Exception):
    """No usable answer: refused, cut off, too slow, too large, or a redirect. Says nothing of what was done."""


class AnswerTooLarge(HttpFailed):
    """More than the cap: a smaller question may have an answer that fits."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response, read whole and unpacked. scrubber: takes what was sent out of what is quoted from it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    scrubber: Scrubber = field(default=Scrubber({}), repr=False, compare=False)


class BoundedHttp:
    """A keep-alive HTTP client, safe to share between threads.

    body_max: bytes of a response. egress: the way out of this machine, direct() unless given. public_only: whether only
    public addresses are connected to, as Transport has it.
    """

    def __init__(
        self, deadline_s: float, body_max: int = BODY_MAX, egress: Egress | None = None, *, public_only: bool = False
    ) -> None:
        self._egress = egress or direct()
        self._deadline_s = deadline_s
        self._body_max = body_max
        self._transport = Transport(self._egress, public_only=public_only)
        self._client = httpx.Client(
            transport=self._transport,
            timeout=deadline_s,
            follow_redirects=False,
            trust_env=False,
            # Nothing is to be unpacked; what comes compressed all the same is, within the cap.
            headers={"Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._headers = {name.decode(): value.decode() for name, value in self._client.headers.raw}
        self._extensions = {"timeout": self._client.timeout.as_dict()}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | Iterator[bytes] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange, over within the deadline but for the system's own time to resolve a name. Raises HttpFailed."""
        scrubber = self._scrubber(url, headers)
        try:
            with deadline(self._deadline_s):
                response = self._send(method, url, {} if headers is None else headers, json, content, params)
                try:
                    if 300 <= response.status < 400:
                        raise HttpFailed(f"answered with a redirect ({response.status}), which is not followed")
                    received = httpx.Headers(response.headers)
                    return Reply(response.status, received, self._read(response, received), scrubber)
                finally:
                    response.close()
        except TRANSPORT_ERRORS as error:
            problem = scrubber.scrub(problem_of(error))[:PROBLEM_MAX] + self._way(url)
        # Outside of the handler, so that no error that quotes the server as it is hangs on to this one.
        raise HttpFailed(problem)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: object,
        content: bytes | Iterator[bytes] | None,
        params: Mapping[str, str] | None,
    ) -> httpcore.Response:
        """The answer, whose body is still to be read.

        Nothing of what httpx's client does on the way (redirects, cookies, netrc) is wanted: it takes as long as the
        exchange itself, and looks where an answer leads, which may be no name of a host. So it sends nothing.
        """
        if "@" in url:
            request = self._request(method, url, headers=headers, json=json, content=content, params=params)
            return self._transport.exchange(of_httpx(request), url)
        own_names = {name.lower() for name in headers}
        usual = {name: value for name, value in self._headers.items() if name.lower() not in own_names}
        all_headers = {**usual, **headers}
        if content is None:
            core_request = json_request(method, url, all_headers, json, params, self._extensions)
        else:
            core_request = of_httpx(
                httpx.Request(
                    method, url, headers=all_headers, content=content, params=params, extensions=self._extensions
                )
            )
        return self._transport.exchange(core_request, url)

    def _request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """A request as httpx makes it, with the header for the user in its URL."""
        request = self._client.build_request(method, url, **parts)
        user = httpx.BasicAuth(request.url.username, request.url.password)
        return next(user.auth_flow(request)) if request.url.userinfo else request

    def close(self) -> None:
        self._client.close()

    def _scrubber(self, url: str, headers: Mapping[str, str] | None) -> Scrubber:
        return Scrubber(secrets_sent(url, headers or {}) | dict.fromkeys(self._egress.secrets, KEY))

    def _way(self, url: str) -> str:
        proxy = self._egress.proxy(url)
        return f", by way of the proxy in {proxy.variable}" if proxy else ""

    def _read(self, response: httpcore.Response, headers: Mapping[str, str]) -> bytes:
        body = bytearray()
        assert isinstance(response.stream, Iterable)
        try:
            unpacker = Unpacker(headers.get("Content-Encoding", ""), self._body_max)
            for chunk in response.stream:
                body += unpacker.feed(chunk)
            unpacker.finish()
        except BodyTooLarge as error:
            raise AnswerTooLarge(f"answered {error}") from error
        except CompressionError as error:
            raise HttpFailed(f"answered {error}") from error
        return bytes(body)


@lru_cache(maxsize=URLS_KEPT)
def is_encrypted_or_local(url: str) -> bool:
    """Whether no one on the way can read what is sent to the URL: https, or http on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def is_endpoint(url: str) -> bool:
    """Whether paths can be put behind the URL, which is_encrypted_or_local(): it has no user, query or fragment."""
    return is_web_url(url) and not set(url) & set("\\?#@") and is_encrypted_or_local(url)


def problem_of(error: Exception) -> str:
    """The error in words. Of a request that we made wrongly only the kind: the text would show its headers."""
    own_fault = isinstance(error, httpcore.LocalProtocolError | httpx.LocalProtocolError)
    return type(error).__name__ if own_fault else f"{type(error).__name__}: {error}"
