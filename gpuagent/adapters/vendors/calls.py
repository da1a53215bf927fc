"""One exchange with a vendor: our token in, and out of everything that the vendor says what it was sent."""

from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from gpuagent.adapters.vendors.answers import read_object
from gpuagent.core.model import NO_ACCESS, JobAccess, Vendor
from gpuagent.core.text import clean
from gpuagent.errors import VendorBusy, VendorError, VendorTokenMissing, VendorUnauthorized
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply, is_encrypted_or_local
from gpuagent.wire.credentials import payment_secrets
from gpuagent.wire.scrub import SECRET, TOKEN, Scrubber
from gpuagent.wire.x402 import refusal

TOO_EARLY, TOO_MANY, UNAVAILABLE = 425, 429, 503
REPLY_MAX = 300
PAYMENTS_KEPT = 4
"""Signed payments of a vendor that are remembered, to know them when the vendor repeats them in a job's log."""
NAMES_KEPT = 500
"""Names of secrets that are remembered of a vendor."""
TOKENS_KEPT = 100
"""Tokens of jobs that are remembered of a vendor."""
URL_MAX = 2_000
TOKENS = ("token", "accessKey", "access_key", "jobToken", "job_token", "accessToken", "access_token")
POLLS = ("pollUrl", "poll_url", "poll", "statusUrl", "status_url")
NESTS = ("job", "data", "result")
"""Fields of an answer that reach a job, and objects in it that may hold them; at the top they count first."""
Self = TypeVar("Self", bound="VendorCalls")
P = ParamSpec("P")
T = TypeVar("T")


def scrubbed(call: Callable[Concatenate[Self, Vendor, P], T]) -> Callable[Concatenate[Self, Vendor, P], T]:
    """The call of a vendor, whose errors quote the vendor without what was sent to it."""

    @wraps(call)
    def scrubbed_call(self: Self, vendor: Vendor, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.scrubbed_errors(vendor):
            return call(self, vendor, *args, **kwargs)

    return scrubbed_call


class VendorCalls:
    """What all calls of vendors have in common. secret: the value of a named variable."""

    secret_fields: tuple[str, ...] = (*TOKENS, *POLLS)
    """Fields of an answer that no error repeats."""

    def __init__(self, secret: Callable[[str], str | None]) -> None:
        self._secret = secret
        self._payments: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=PAYMENTS_KEPT))
        self._secret_names: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=NAMES_KEPT))
        self._scrubbers: dict[str, tuple[dict[str, str], Scrubber]] = {}
        self._job_tokens: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TOKENS_KEPT))

    def scrubber(self, vendor: Vendor, more: Iterable[str] = ()) -> Scrubber:
        """What takes our token, those of its jobs, and the payments and secrets that it got, out of a vendor's words.

        Of secrets only the names are remembered: the values are looked up. more: tokens that are not remembered.
        """
        secrets = {(self._secret(name) or "").strip(): SECRET for name in tuple(self._secret_names[vendor.vendor_id])}
        unremembered = tuple(more)
        secrets |= dict.fromkeys((*self._job_tokens[vendor.vendor_id], *unremembered), TOKEN)
        if vendor.secret_env:
            secrets[(self._secret(vendor.secret_env) or "").strip()] = TOKEN
        for header in tuple(self._payments[vendor.vendor_id]):
            secrets |= payment_secrets(header)
        if unremembered:
            return Scrubber(secrets)
        known = self._scrubbers.get(vendor.vendor_id)
        if known is None or known[0] != secrets:  # it takes longer to make than to use
            known = self._scrubbers[vendor.vendor_id] = (secrets, Scrubber(secrets))
        return known[1]

    @contextmanager
    def scrubbed_errors(self, vendor: Vendor) -> Iterator[None]:
        """Takes out of an error inside what was sent to the vendor."""
        try:
            yield
        except VendorError as error:
            error.args = tuple(self.scrubber(vendor).scrub(str(argument)) for argument in error.args)
            error.__cause__ = error.__context__ = None  # it quotes the vendor as it is
            raise

    def _remember(self, vendor: Vendor, secrets: Iterable[str]) -> None:
        """Secrets, by name, that the vendor has or will get."""
        names = self._secret_names[vendor.vendor_id]
        names.extend(name for name in secrets if name not in names)

    def _remember_access(self, vendor: Vendor, access: JobAccess) -> None:
        """What reaches a job of the vendor, which it may repeat in a log."""
        tokens = self._job_tokens[vendor.vendor_id]
        tokens.extend(text for text in (access.token, access.poll_url, access.folder) if text and text not in tokens)

    def _call(
        self,
        client: BoundedHttp,
        vendor: Vendor,
        method: str,
        path: str,
        *,
        body: object = None,
        content: bytes | Iterator[bytes] | None = None,
        params: Mapping[str, str] | None = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (200,),
        access: JobAccess = NO_ACCESS,
        url: str = "",
    ) -> Reply:
        """The vendor's answer of a wanted status. url: one of own_url() in place of the path. Raises VendorError."""
        all_headers = {**self._headers(vendor, access), **(headers or {})}
        if key:
            all_headers["Idempotency-Key"] = key
        url = url or url_of(vendor, path)
        try:
            reply = client.request(method, url, headers=all_headers, json=body, content=content, params=params)
        except HttpFailed as error:
            raise no_answer(vendor, error) from error
        self._check(vendor, path, reply, expect)
        return reply

    def _check(self, vendor: Vendor, path: str, reply: Reply, expect: Container[int]) -> None:
        """Raises VendorError for an answer of another status."""
        if reply.status in (401, 403):
            if not vendor.secret_env:
                raise VendorUnauthorized(
                    f"{vendor.vendor_id} answered {reply.status} to {path}: it wants a token, and its record names no "
                    "variable with one (secretEnv), nor is the job's own accepted"
                )
            raise VendorUnauthorized(
                f"{vendor.vendor_id} refuses the bearer token in {vendor.secret_env}: set the vendor's own secret there"
            )
        if reply.status not in expect:
            raise self._refused(vendor, path, reply)

    def _refused(self, vendor: Vendor, path: str, reply: Reply) -> VendorError:
        """The error for an answer of a status that is not wanted, with the vendor's reasons in its words."""
        texts = (refusal(reply.headers), reply.body.decode(errors="replace"))
        scrubber = self.scrubber(vendor, self._given(vendor, reply))
        reasons = [clean(scrubber.scrub(text)[:REPLY_MAX]) for text in texts if text]
        busy = reply.status in (TOO_EARLY, TOO_MANY) or (reply.status == UNAVAILABLE and "retry-after" in reply.headers)
        problem = VendorBusy if busy else VendorError
        return problem(f"{vendor.vendor_id} answered {reply.status} to {path}: {'; '.join(reasons)}")

    def _given(self, vendor: Vendor, reply: Reply) -> list[str]:
        """What reaches a job, in an answer that counts as an error."""
        try:
            answer = read_object(vendor, reply.body)
        except VendorError:
            return []  # no JSON: it has no fields
        places = (answer, *(nest for name in NESTS if isinstance(nest := answer.get(name), Mapping)))
        texts = [place.get(name) for place in places for name in self.secret_fields]
        return [text for text in texts if isinstance(text, str)]

    def _object(
        self, vendor: Vendor, reply: Reply, read_constant: Callable[[str], Any] | None = None
    ) -> dict[str, Any]:
        """The vendor's answer, without our token, payments and secrets wherever they are echoed whole."""
        answer: dict[str, Any] = self.scrubber(vendor).scrub_value(read_object(vendor, reply.body, read_constant))
        return answer

    def _headers(self, vendor: Vendor, access: JobAccess = NO_ACCESS) -> dict[str, str]:
        """Our bearer token, or without an account the one that the vendor gave for the job."""
        self._remember_access(vendor, access)
        token = self._token(vendor) if vendor.secret_env else _sendable(access.token)
        return {"x-vendor-id": vendor.vendor_id} | ({"Authorization": f"Bearer {token}"} if token else {})

    def _token(self, vendor: Vendor) -> str:
        token = (self._secret(vendor.secret_env) or "").strip()  # mounted secrets often end with a newline
        if not token or not token.isascii() or not token.isprintable():
            raise VendorTokenMissing(f"set {vendor.secret_env}: it holds the bearer token for {vendor.vendor_id}")
        return token


def no_answer(vendor: Vendor, error: HttpFailed) -> VendorError:
    return VendorError(f"{vendor.vendor_id} does not answer: {clean(str(error))}")


def url_of(vendor: Vendor, path: str) -> str:
    if not is_encrypted_or_local(vendor.endpoint):
        raise VendorError(f"the endpoint of {vendor.vendor_id} must be https (http only on this machine)")
    return vendor.endpoint.rstrip("/") + path


def own_url(vendor: Vendor, text: str) -> str:
    """The absolute form of a URL, or of a path, that a vendor names; "" unless it is on the vendor's own origin."""
    if not text or not text.isascii() or not text.isprintable() or set(text) & set(" \\@#") or len(text) > URL_MAX:
        return ""
    try:
        url = urljoin(vendor.endpoint.rstrip("/") + "/", text)
        origin, target = urlsplit(vendor.endpoint), urlsplit(url)
        same = (origin.scheme, origin.hostname, _port(origin)) == (target.scheme, target.hostname, _port(target))
    except ValueError:
        return ""
    return url if same and target.hostname else ""


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _sendable(token: str) -> str:
    """The token where it can stand in a header; "" for one that cannot."""
    return token if token.isascii() and token.isprintable() and " " not in token else ""
