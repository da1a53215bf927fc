"""Our own protocol, gpuagent/1, over HTTP with x402. An answer becomes a checked value or a VendorError."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from gpuagent.adapters.vendors.access import read_access
from gpuagent.adapters.vendors.answers import read_object, read_quote, read_report
from gpuagent.adapters.vendors.calls import own_url, scrubbed
from gpuagent.adapters.vendors.echoes import scrubbed_report, scrubbed_terms
from gpuagent.adapters.vendors.files import FileCalls
from gpuagent.adapters.vendors.job_name import read_job_id
from gpuagent.adapters.vendors.news import WORD_MAX
from gpuagent.adapters.vendors.order import order_body, quote_body, secret_values
from gpuagent.adapters.vendors.probe import probed_quote
from gpuagent.core.model import (
    NO_ACCESS,
    Authorized,
    Challenge,
    JobAccess,
    Quote,
    Reserved,
    Settled,
    Submitted,
    Vendor,
)
from gpuagent.core.orders import order_files, secret_names
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport
from gpuagent.errors import FileMissing, PayeeChanged, VendorBusy, VendorError
from gpuagent.wire.bounded_http import BoundedHttp, Reply
from gpuagent.wire.egress import Egress
from gpuagent.wire.offers import read_challenge
from gpuagent.wire.streamed_http import StreamedHttp
from gpuagent.wire.vendor_words import STATE_NAMES
from gpuagent.wire.x402 import payment_header, receipt, refusal

ACCEPTED = range(200, 300)
CONFLICT = 409
"""The answer to a key that is known. Where it names the key's job, that is the job."""
NO_ROUTE = (404, 405, 501)
"""The answers of a vendor that has no quotes: its price is what an unpaid order is asked for."""
STATUS_BODY_MAX = 2 * 1024 * 1024


def no_content(sha256: str) -> bytes:
    """The content of a file where no file store is open."""
    raise FileMissing(f"there is no file store here that has {sha256}")


class HttpVendor(FileCalls):
    """Speaks to every vendor at its recorded endpoint.

    secret: the value of a named variable, which is a bearer token or a secret of a job. egress: the way out of this
    machine, direct() unless given. content: of a stored file, by its SHA-256; only small ones are asked for.
    upload_s: seconds that send_input() takes at most. now: Unix seconds.
    """

    def __init__(
        self,
        secret: Callable[[str], str | None],
        quote_s: float = 5,
        submit_s: float = 20,
        status_s: float = 10,
        egress: Egress | None = None,
        content: Callable[[str], bytes] = no_content,
        upload_s: float = 20,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._quotes = BoundedHttp(quote_s, egress=egress)
        self._submits = BoundedHttp(submit_s, egress=egress)
        self._statuses = BoundedHttp(status_s, STATUS_BODY_MAX, egress)
        super().__init__(secret, self._statuses, StreamedHttp(status_s, egress=egress), upload_s)
        self._content, self._now = content, now

    def close(self) -> None:
        for client in (self._quotes, self._submits, self._statuses):
            client.close()
        super().close()

    @scrubbed
    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        self._secrets_of(vendor, order)
        body = quote_body(goal, gpu_type, max_hours, order)
        reply = self._call(self._quotes, vendor, "POST", "/quote", body=body, expect=(200, *NO_ROUTE))
        if reply.status not in NO_ROUTE:
            return read_quote(vendor, self._object(vendor, reply), gpu_type, max_hours, order)
        try:
            return self._probe(vendor, gpu_type, max_hours, order)
        except PayeeChanged:
            raise  # whoever is to be paid, it is no matter of routes
        except VendorError as error:
            raise VendorError(f"{self._refused(vendor, '/quote', reply)}; and unpaid: {error}") from error

    def _probe(self, vendor: Vendor, gpu_type: str, max_hours: Decimal, order: str) -> Quote:
        """The price that the vendor asks of an order without a quote. What it can do with a workload it cannot say."""
        if order_files(order):  # who may have them is decided on quotes, and an order has the small ones in it
            raise VendorError(f"{vendor.vendor_id} has no quotes, and an order that only asks for a price has no files")
        draft = Quote(vendor.vendor_id, "", 0, "", "", "", 0, 0, gpu_type, max_hours, order)
        challenge = self._challenge(vendor, draft, order_body(Reserved("", draft, 0), self._content))
        return probed_quote(vendor, challenge, gpu_type, max_hours, order, self._now(), template_id="")

    @scrubbed
    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        self._secrets_of(vendor, job.quote.order)
        return self._challenge(vendor, job.quote, order_body(job, self._content), job.job_id)

    def _challenge(self, vendor: Vendor, quote: Quote, body: Mapping[str, Any], key: str = "") -> Challenge:
        reply = self._call(self._submits, vendor, "POST", "/submit-job", body=body, key=key, expect=(402,))
        challenge = read_challenge(reply.headers, reply.body, vendor.x402_version)
        scrubber = self.scrubber(vendor)
        return replace(challenge, accepts=tuple(scrubbed_terms(terms, quote, scrubber) for terms in challenge.accepts))

    @scrubbed
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        secrets = self._secrets_of(vendor, job.quote.order)
        body = order_body(job, self._content) | ({"secrets": secrets} if secrets and vendor.trusted else {})
        self._payments[vendor.vendor_id].append(job.header)
        reply = self._call(
            self._submits,
            vendor,
            "POST",
            "/submit-job",
            body=body,
            key=job.job_id,
            headers=payment_header(job.header),
            expect=(*ACCEPTED, CONFLICT),
        )
        return Submitted(self._job_id(vendor, reply), self._access(vendor, reply), receipt(reply.headers))

    @scrubbed
    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        self._remember(vendor, job.secrets)
        news = {"after": after} if after else {}
        params: Mapping[str, str] | None = {"vendorJobId": job.job_id} | news
        # The record may name another server by now, and our token is that one's alone.
        if url := own_url(vendor, job.access.poll_url):
            # httpx puts params, even none, in place of a query that may hold the key to the job.
            url, params = url + (f"{'&' if '?' in url else '?'}{urlencode(news)}" if news else ""), None
        reply = self._call(
            self._statuses,
            vendor,
            "GET",
            "/job-status",
            params=params,
            expect=ACCEPTED,
            access=job.access,
            url=url,
        )
        if not reply.body.strip():
            raise VendorBusy(f"{vendor.vendor_id} answered {reply.status} to /job-status, and nothing else")
        # A loss that is not finite is NaN in what many programs write, though JSON has no such number.
        answer = self._object(vendor, reply, Decimal)
        return scrubbed_report(read_report(vendor, answer), self.scrubber(vendor))

    @scrubbed
    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        self._remember(vendor, job.secrets)
        body = {"vendorJobId": job.job_id}
        reply = self._call(self._submits, vendor, "POST", "/job-cancel", body=body, expect=ACCEPTED, access=job.access)
        answer = self._object(vendor, reply) if reply.body.strip() else {}
        word = next((answer[name] for name in STATE_NAMES if isinstance(answer.get(name), str)), "")
        return clean(self.scrubber(vendor).scrub(word), WORD_MAX) or f"answered {reply.status}"

    def _access(self, vendor: Vendor, reply: Reply) -> JobAccess:
        """What the answer gives to reach the job by, as it is sent; nothing where it cannot be read."""
        if reply.status == CONFLICT or refusal(reply.headers):
            return NO_ACCESS
        try:
            return read_access(vendor, read_object(vendor, reply.body))
        except VendorError:
            return NO_ACCESS

    def _secrets_of(self, vendor: Vendor, order: str) -> dict[str, str]:
        """The values that go with the paid order. Raises JobSecretMissing before anything is sent, or even bought."""
        self._remember(vendor, secret_names(order))
        return secret_values(order, self._secret, vendor.secret_env)

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
