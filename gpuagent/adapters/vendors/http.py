"""The port VendorApi over HTTP, with x402 v2 for payment. An answer becomes a checked value or a VendorError."""

from collections import defaultdict, deque
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from gpuagent.adapters.vendors.answers import read_object, read_quote, read_report
from gpuagent.adapters.vendors.job_name import read_job_id
from gpuagent.core.model import Authorized, Challenge, Quote, Reserved, Settled, Terms, Vendor
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport
from gpuagent.errors import OfferInvalid, VendorBusy, VendorError, VendorTokenMissing, VendorUnauthorized
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply, is_encrypted_or_local
from gpuagent.wire.credentials import payment_secrets
from gpuagent.wire.egress import Egress
from gpuagent.wire.scrub import TOKEN, Scrubber
from gpuagent.wire.x402 import decode_challenge, refusal

ACCEPTED = range(200, 300)
CONFLICT = 409
"""The answer to a key that is known. Where it names the key's job, that is the job."""
TOO_EARLY, TOO_MANY, UNAVAILABLE = 425, 429, 503
REPLY_MAX = 300
STATUS_BODY_MAX = 1024 * 1024
PAYMENTS_KEPT = 4
"""Signed payments of a vendor that are remembered, to know them when the vendor repeats them in a job's log."""
P = ParamSpec("P")
T = TypeVar("T")


def scrubbed(
    call: Callable[Concatenate["HttpVendor", Vendor, P], T],
) -> Callable[Concatenate["HttpVendor", Vendor, P], T]:
    """The call of a vendor, whose errors quote the vendor without what was sent to it."""

    @wraps(call)
    def scrubbed_call(self: "HttpVendor", vendor: Vendor, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(self, vendor, *args, **kwargs)
        except VendorError as error:
            error.args = tuple(self.scrubber(vendor).scrub(str(argument)) for argument in error.args)
            error.__cause__ = error.__context__ = None  # it quotes the vendor as it is
            raise

    return scrubbed_call


class HttpVendor:
    """Speaks to every vendor at its recorded endpoint. secret: the bearer token in a named variable.

    egress: the way out of this machine, direct() unless given.
    """

    def __init__(
        self,
        secret: Callable[[str], str | None],
        quote_s: float = 5,
        submit_s: float = 20,
        status_s: float = 10,
        egress: Egress | None = None,
    ) -> None:
        self._secret = secret
        self._quotes = BoundedHttp(quote_s, egress=egress)
        self._submits = BoundedHttp(submit_s, egress=egress)
        self._statuses = BoundedHttp(status_s, STATUS_BODY_MAX, egress)
        self._payments: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=PAYMENTS_KEPT))

    def close(self) -> None:
        for client in (self._quotes, self._submits, self._statuses):
            client.close()

    def scrubber(self, vendor: Vendor) -> Scrubber:
        """What takes our token, and the payments that the vendor got lately, out of the vendor's words."""
        secrets = {(self._secret(vendor.secret_env) or "").strip(): TOKEN}
        for header in tuple(self._payments[vendor.vendor_id]):
            secrets |= payment_secrets(header)
        return Scrubber(secrets)

    @scrubbed
    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        body = {
            "jobType": "training",
            "gpuType": gpu_type,
            "maxHours": float(max_hours),
            "jobMetadata": {"goal": goal},
        }
        reply = self._call(self._quotes, vendor, "POST", "/quote", body=body)
        return read_quote(vendor, self._object(vendor, reply), gpu_type, max_hours)

    @scrubbed
    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        reply = self._call(
            self._submits, vendor, "POST", "/submit-job", body=_order(job), key=job.job_id, expect=(402,)
        )
        header = reply.headers.get("payment-required")
        if not header:
            raise OfferInvalid(f"{vendor.vendor_id} answered 402 without PAYMENT-REQUIRED")
        challenge = decode_challenge(header)
        scrubber = self.scrubber(vendor)
        return replace(
            challenge, accepts=tuple(_scrubbed_terms(terms, job.quote, scrubber) for terms in challenge.accepts)
        )

    @scrubbed
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> str:
        self._payments[vendor.vendor_id].append(job.header)
        reply = self._call(
            self._submits,
            vendor,
            "POST",
            "/submit-job",
            body=_order(job),
            key=job.job_id,
            headers={"PAYMENT-SIGNATURE": job.header},
            expect=(*ACCEPTED, CONFLICT),
        )
        return self._job_id(vendor, reply)

    @scrubbed
    def status(self, vendor: Vendor, vendor_job_id: str, after: str = "") -> JobReport:
        params = {"vendorJobId": vendor_job_id}
        reply = self._call(self._statuses, vendor, "GET", "/job-status", params=params, expect=ACCEPTED)
        if not reply.body.strip():
            raise VendorBusy(f"{vendor.vendor_id} answered {reply.status} to /job-status, and nothing else")
        return _scrubbed_report(read_report(vendor, self._object(vendor, reply)), self.scrubber(vendor))

    def _call(
        self,
        client: BoundedHttp,
        vendor: Vendor,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (200,),
    ) -> Reply:
        all_headers = {
            "Authorization": f"Bearer {self._token(vendor)}",
            "x-vendor-id": vendor.vendor_id,
            **(headers or {}),
        }
        if key:
            all_headers["Idempotency-Key"] = key
        try:
            reply = client.request(method, _url(vendor, path), headers=all_headers, json=body, params=params)
        except HttpFailed as error:
            raise VendorError(f"{vendor.vendor_id} does not answer: {clean(str(error))}") from error
        if reply.status in (401, 403):
            raise VendorUnauthorized(
                f"{vendor.vendor_id} refuses the bearer token in {vendor.secret_env}: set the vendor's own secret there"
            )
        if reply.status not in expect:
            raise self._refused(vendor, path, reply)
        return reply

    def _refused(self, vendor: Vendor, path: str, reply: Reply) -> VendorError:
        """The error for an answer of a status that is not wanted, with the vendor's reasons in its words."""
        texts = (refusal(reply.headers), reply.body.decode(errors="replace"))
        reasons = [clean(self.scrubber(vendor).scrub(text)[:REPLY_MAX]) for text in texts if text]
        busy = reply.status in (TOO_EARLY, TOO_MANY) or (reply.status == UNAVAILABLE and "retry-after" in reply.headers)
        problem = VendorBusy if busy else VendorError
        return problem(f"{vendor.vendor_id} answered {reply.status} to {path}: {'; '.join(reasons)}")

    def _job_id(self, vendor: Vendor, reply: Reply) -> str:
        """The job that the answer to a paid order names, by its body or by its URL; "" where it names none."""
        location = self.scrubber(vendor).scrub_value(reply.headers.get("location", ""))
        is_refusal = reply.status == CONFLICT or bool(refusal(reply.headers))
        problem: VendorError | None = None
        try:
            job_id = read_job_id(vendor, self._object(vendor, reply) if reply.body else {}, location, is_refusal)
        except VendorError as error:
            job_id, problem = read_job_id(vendor, {}, location, is_refusal), error
        if job_id:
            return job_id
        if reply.status == CONFLICT:
            raise self._refused(vendor, "/submit-job", reply)
        if problem:
            raise problem
        if refusal(reply.headers):
            raise VendorBusy(f"{self._refused(vendor, '/submit-job', reply)}, and names no job")
        return ""

    def _object(self, vendor: Vendor, reply: Reply) -> dict[str, Any]:
        """The vendor's answer, without our token and payments wherever they are echoed whole."""
        answer: dict[str, Any] = self.scrubber(vendor).scrub_value(read_object(vendor, reply.body))
        return answer

    def _token(self, vendor: Vendor) -> str:
        token = (self._secret(vendor.secret_env) or "").strip()  # mounted secrets often end with a newline
        if not token or not token.isascii() or not token.isprintable():
            raise VendorTokenMissing(f"set {vendor.secret_env}: it holds the bearer token for {vendor.vendor_id}")
        return token


def _scrubbed_terms(terms: Terms, quote: Quote, scrubber: Scrubber) -> Terms:
    """The terms, whose texts an objection to them quotes. What is as agreed is a name that we know, and stays."""
    agreed = {quote.network, quote.asset, quote.pay_to, str(quote.amount)}

    def shown(text: str) -> str:
        return text if text in agreed else scrubber.scrub_words(text)

    return replace(
        terms,
        scheme=shown(terms.scheme),
        network=shown(terms.network),
        asset=shown(terms.asset),
        amount=shown(terms.amount),
        pay_to=shown(terms.pay_to),
        extra=scrubber.scrub_value(dict(terms.extra)),
    )


def _scrubbed_report(report: JobReport, scrubber: Scrubber) -> JobReport:
    metrics = report.final_metrics.items()
    return replace(
        report,
        logs=scrubber.scrub_lines(report.logs),
        final_metrics={
            scrubber.scrub(name): scrubber.scrub(value) if isinstance(value, str) else value for name, value in metrics
        },
        artifact_url=scrubber.scrub_words(report.artifact_url),
        error_message=scrubber.scrub(report.error_message),
        word=scrubber.scrub(report.word),
    )


def _url(vendor: Vendor, path: str) -> str:
    if not is_encrypted_or_local(vendor.endpoint):
        raise VendorError(f"the endpoint of {vendor.vendor_id} must be https (http only on this machine)")
    return vendor.endpoint.rstrip("/") + path


def _order(job: Reserved | Authorized | Settled) -> dict[str, object]:
    """The same body for every submit of a job: a vendor may compare them."""
    params = {"gpuType": job.quote.gpu_type, "maxHours": float(job.quote.max_hours)}
    return {"vendorJobTemplateId": job.quote.template_id, "jobParams": params}
