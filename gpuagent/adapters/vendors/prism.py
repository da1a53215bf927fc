"""Prism's one-shot compute: one shell command at one price, paid once it has run. See docs/vendors/prism.md.

Written from public sources at prismnetwork-tech/prism 2d925f64, never called live.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from gpuagent.adapters.vendors.access import read_access
from gpuagent.adapters.vendors.answers import read_object
from gpuagent.adapters.vendors.calls import scrubbed
from gpuagent.adapters.vendors.claims import read_refund
from gpuagent.adapters.vendors.command_vendor import (
    CommandVendor,
    check_same_job,
    command_of,
    job_path,
    lines_of,
    offer_in,
    report_of,
    state_of,
)
from gpuagent.adapters.vendors.job_name import read_job_id
from gpuagent.adapters.vendors.news import read_exit_code
from gpuagent.adapters.vendors.probe import probed_quote
from gpuagent.core.model import (
    NO_ENVELOPE,
    Authorized,
    Challenge,
    Quote,
    Reserved,
    Settled,
    Submitted,
    Vendor,
)
from gpuagent.core.orders import WORKLOAD
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.terms import priced
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import VendorError
from gpuagent.wire.x402 import receipt

RUN, JOB = "/run", "/jobs/{}"
BODY_MAX = 16 * 1024
SPARE_S = 120
"""How much longer than the lease Prism wants an authorization to live."""
STATES = {
    "queued": JobStatus.SUBMITTED,
    "running": JobStatus.RUNNING,
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
}
CHARGES = {True: "charged, by its word", False: "not charged, by its word"}


class PrismVendor(CommandVendor):
    """A completed job is charged whatever its exit code is; a failed one is not. Whether it was, the chain says."""

    @scrubbed
    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:  # noqa: ARG002
        draft = self._draft(vendor, gpu_type, max_hours, order)
        challenge = offer_in(vendor, self._unpaid(vendor, RUN, _body(vendor, draft)))
        lease_s = priced(challenge, vendor).max_timeout_s - SPARE_S
        if lease_s < max_hours * 3600:
            raise VendorError(
                f"{vendor.vendor_id} gives a command {max(lease_s, 0)} s, and this job buys {max_hours * 3600:f} s: "
                "set max_duration in the job file to no more, or leave it to another vendor"
            )
        accepts = self._accepts(draft.envelope, WORKLOAD)
        quote = probed_quote(vendor, challenge, gpu_type, max_hours, order, self._now(), accepts=accepts)
        return replace(quote, envelope=draft.envelope)

    @scrubbed
    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        return self._challenge_of(vendor, job.quote, RUN, _body(vendor, job.quote))

    @scrubbed
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        reply = self._paid(vendor, job, RUN, _body(vendor, job.quote))
        answer = read_object(vendor, reply.body)
        access = read_access(vendor, answer, ("token",), ())
        self._remember_access(vendor, access)
        access = replace(access, folder=job.quote.envelope.folder)
        return Submitted(read_job_id(vendor, answer), access, receipt(reply.headers))

    @scrubbed
    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:  # noqa: ARG002 - it sends all there is
        reply = self._call(self._statuses, vendor, "GET", job_path(JOB, job.job_id), access=job.access)
        answer = self._object(vendor, reply)
        check_same_job(vendor, answer, job.job_id)
        status, word = state_of(vendor, answer, "status", STATES)
        over = status in (JobStatus.COMPLETED, JobStatus.FAILED)
        news = self._news_of(vendor, job, lines_of(answer, "stdout", "stderr"))
        report = report_of(
            status,
            _charge(answer) if over else word,
            news.lines,
            read_exit_code(answer.get("exit_code")),
            _problem(answer) if status is JobStatus.FAILED else "",
        )
        return self._reported(vendor, replace(report, credit=read_refund(answer)), news, job.access)

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:  # noqa: ARG002 - the port's signature
        raise VendorError(f"{vendor.vendor_id} speaks prism, which ends no job before its lease does")


def _body(vendor: Vendor, quote: Quote) -> dict[str, Any]:
    body = {"command": command_of(quote)}
    if (size := len(json.dumps(body, ensure_ascii=False).encode())) > BODY_MAX:
        files = ", with what fetches and sends its files" if quote.envelope != NO_ENVELOPE else ""
        raise VendorError(
            f"{vendor.vendor_id} takes a command of {BODY_MAX} bytes at most, and this one has {size}{files}: put what "
            "is long in setup, command or env into an input"
        )
    return body


def _charge(answer: Mapping[str, Any]) -> str:
    """What it says of the money: words for people, no more."""
    charged = answer.get("charged")
    return CHARGES[charged] if isinstance(charged, bool) else "it does not know whether it charged"


def _problem(answer: Mapping[str, Any]) -> str:
    texts = [text for name in ("error", "detail", "note") if isinstance(text := answer.get(name), str)]
    return "; ".join(texts)
