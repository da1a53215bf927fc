"""What vendors of other protocols than ours have in common: an unpaid order is the price, and a job is one command."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote as url_quote

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.answers import LOGS_MAX
from gpuagent.adapters.vendors.depot_files import DepotFiles, without_signatures
from gpuagent.adapters.vendors.echoes import scrubbed_report, scrubbed_terms
from gpuagent.adapters.vendors.manifest_line import JobNews, with_news
from gpuagent.adapters.vendors.news import WORD_MAX
from gpuagent.adapters.vendors.shell_line import shell_line, unspeakable, workload_of
from gpuagent.adapters.vendors.wrapper import wrapped_line
from gpuagent.core.model import NO_ACCESS, NO_ENVELOPE, Authorized, Challenge, JobAccess, Quote, Settled, Vendor
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import VendorBusy, VendorError
from gpuagent.wire.bounded_http import BoundedHttp, Reply
from gpuagent.wire.offers import read_challenge
from gpuagent.wire.x402 import payment_header

QUOTE_S, SUBMIT_S, STATUS_S = 5.0, 20.0, 10.0
ANSWER_MAX = 8 * 2**20
"""Bytes of an answer about a job, which has all of its output in it."""
PAYMENT_REQUIRED = 402
RETRY = "retry_after_seconds"


class CommandVendor(DepotFiles):
    """Speaks to vendors that run one command. A subclass adds the routes, and the vendor's words for a job's states.

    No URL that a vendor names is called: the routes are known, and the endpoint is the recorded one.
    """

    def __init__(
        self, parts: Parts, quote_s: float = QUOTE_S, submit_s: float = SUBMIT_S, status_s: float = STATUS_S
    ) -> None:
        super().__init__(parts.secret, parts.depot)
        self._now = parts.now
        self._quotes = BoundedHttp(quote_s, egress=parts.egress)
        self._submits = BoundedHttp(submit_s, egress=parts.egress)
        self._statuses = BoundedHttp(status_s, ANSWER_MAX, parts.egress)

    def close(self) -> None:
        for client in (self._quotes, self._submits, self._statuses):
            client.close()

    def _check_order(self, vendor: Vendor, order: str) -> None:
        """Raises VendorError, in words for the plan, for an order that no vendor of this protocol can do."""
        if problem := unspeakable(order, with_files=self._depot is not None):
            raise VendorError(f"{vendor.vendor_id} speaks {vendor.protocol}: it {problem}")

    def _draft(self, vendor: Vendor, gpu_type: str, max_hours: Decimal, order: str, amount: int = 0) -> Quote:
        """What a body is made of before there is a price. Raises VendorError as _check_order() and _new_envelope()."""
        self._check_order(vendor, order)
        draft = Quote(vendor.vendor_id, "", amount, "", "", "", 0, 0, gpu_type, max_hours, order)
        return replace(draft, envelope=self._new_envelope(vendor, draft))

    def _unpaid(self, vendor: Vendor, path: str, body: Mapping[str, Any], refusals: tuple[int, ...] = ()) -> Reply:
        """The answer to an unpaid order: a 402, or one of these refusals. Raises VendorError."""
        return self._call(self._quotes, vendor, "POST", path, body=body, expect=(PAYMENT_REQUIRED, *refusals))

    def _challenge_of(self, vendor: Vendor, quote: Quote, path: str, body: Mapping[str, Any]) -> Challenge:
        self._remember_envelope(vendor, quote.envelope)
        challenge = offer_in(vendor, self._unpaid(vendor, path, body))
        scrubber = self.scrubber(vendor)
        return replace(challenge, accepts=tuple(scrubbed_terms(terms, quote, scrubber) for terms in challenge.accepts))

    def _paid(self, vendor: Vendor, job: Authorized | Settled, path: str, body: Mapping[str, Any]) -> Reply:
        """The answer to the paid order: of all that could pay only the stored header is sent. Raises StoreError too."""
        self._hand_out(vendor, job.quote)
        self._payments[vendor.vendor_id].append(job.header)
        headers = payment_header(job.header)
        return self._call(self._submits, vendor, "POST", path, body=body, headers=headers, expect=range(200, 300))

    def _refused(self, vendor: Vendor, path: str, reply: Reply) -> VendorError:
        """As for all vendors; who says when to come again in the body is busy too."""
        problem = super()._refused(vendor, path, reply)
        return VendorBusy(str(problem)) if RETRY.encode() in reply.body and reply.status >= 429 else problem

    def _headers(self, vendor: Vendor, access: JobAccess = NO_ACCESS) -> dict[str, str]:
        """Without our own name for the vendor, which is of no use to it."""
        return {name: text for name, text in super()._headers(vendor, access).items() if name != "x-vendor-id"}

    def _reported(self, vendor: Vendor, report: JobReport, news: JobNews, access: JobAccess) -> JobReport:
        """The report with the wrapper's news. Raises VendorError while a job that completed has not printed its end.

        A log may lag behind the state of its job; what never comes counts as the vendor's silence.
        """
        if access.folder and report.status is JobStatus.COMPLETED and not news.ended:
            raise VendorError(f"{vendor.vendor_id} says completed, and the output names no files of the job yet")
        report = scrubbed_report(with_news(report, news) if access.folder else report, self.scrubber(vendor))
        return replace(
            report,
            logs=tuple(map(without_signatures, report.logs)),
            error_message=without_signatures(report.error_message),
        )


def offer_in(vendor: Vendor, reply: Reply) -> Challenge:
    """The 402, in the version that the vendor is recorded with. Raises OfferInvalid."""
    return read_challenge(reply.headers, reply.body, vendor.x402_version)


def job_path(template: str, job_id: str) -> str:
    """The route of a job: its id is the vendor's text, and stays one segment of the path."""
    return template.format(url_quote(job_id, safe=""))


def check_same_job(vendor: Vendor, answer: Mapping[str, Any], job_id: str) -> None:
    """Raises VendorError for an answer about another job than was asked for."""
    if answer.get("job_id") not in (None, job_id):
        raise VendorError(f"{vendor.vendor_id} answers with another job than it was asked for")


def state_of(
    vendor: Vendor, answer: Mapping[str, Any], name: str, statuses: Mapping[str, JobStatus]
) -> tuple[JobStatus, str]:
    """Our status for the vendor's word, and its word where ours says less. A new word counts as alive."""
    word = answer.get(name)
    if not isinstance(word, str) or not word:
        raise VendorBusy(f"{vendor.vendor_id} sent a status that names no state of the job")
    status = statuses.get(word.lower(), JobStatus.RUNNING)
    return status, "" if word.lower() == status.value else clean(word, WORD_MAX)


def command_of(quote: Quote, *, with_setup: bool = True, with_env: bool = True, tell_exit: bool = False) -> str:
    """The quote's command, as shell_line() says; where files go by signed URLs, all of it is in the command."""
    if quote.envelope != NO_ENVELOPE:
        return wrapped_line(quote)
    return shell_line(workload_of(quote.order), with_setup=with_setup, with_env=with_env, tell_exit=tell_exit)


def report_of(
    status: JobStatus, word: str, logs: Iterable[str] = (), exit_code: int | None = None, problem: str = ""
) -> JobReport:
    return JobReport(
        status=status,
        progress=1.0 if status is JobStatus.COMPLETED else 0.0,
        logs=tuple(clean(line) for line in list(logs)[:LOGS_MAX]),
        final_metrics={},
        artifact_url="",
        error_message=clean(problem),
        word=word,
        exit_code=exit_code,
    )


def lines_of(answer: Mapping[str, Any], *names: str) -> list[str]:
    """The lines of these texts of an answer, one after the other."""
    return [line for name in names if isinstance(text := answer.get(name), str) for line in text.splitlines()]
