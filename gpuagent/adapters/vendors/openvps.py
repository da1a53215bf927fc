"""OpenVPS' jobs: a command on a small machine without a GPU, prepaid. See docs/vendors/openvps.md.

Written from public sources at kartojal/openvps 5b301bf, never called live.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from gpuagent.adapters.vendors.answers import read_object
from gpuagent.adapters.vendors.calls import POLLS, scrubbed
from gpuagent.adapters.vendors.command_vendor import (
    CommandVendor,
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
from gpuagent.adapters.vendors.shell_line import read_exit_line, workload_of
from gpuagent.core.model import (
    NO_ENVELOPE,
    Authorized,
    Challenge,
    JobAccess,
    Quote,
    Reserved,
    Settled,
    Submitted,
    Vendor,
)
from gpuagent.core.orders import WORKLOAD
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import VendorError
from gpuagent.wire.vendor_words import JOB_NAMES
from gpuagent.wire.x402 import receipt

JOBS, JOB = "/v1/jobs", "/v1/jobs/{}"
VCPUS_MAX, RAM_MB_MIN, RAM_MB_MAX, TIMEOUT_MIN_S, TIMEOUT_MAX_S = 4, 256, 4096, 60, 3600
"""What is beyond these it sells as the nearest it has, without a word."""
RAM_MB = 512
MB = 10**6
IMAGES = ("", "ubuntu-24.04")
MACHINE_CODES = (1, 255)
"""The exit codes of a job whose machine it did not reach, or lost (ssh's own): any program may end with them too."""
_SETUP_FAILED = re.compile(r"=== SETUP \(exit [1-9][0-9]*\) ===")
STATES = {
    "pending": JobStatus.SUBMITTED,
    "running": JobStatus.RUNNING,
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "timeout": JobStatus.FAILED,
}


class OpenVpsVendor(CommandVendor):
    """The id of a job is its only secret: it is kept as the job's token, and the job goes by a digest of it."""

    secret_fields = (*JOB_NAMES, "id", "job", *POLLS)

    @scrubbed
    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:  # noqa: ARG002
        draft = self._draft(vendor, gpu_type, max_hours, order)
        challenge = offer_in(vendor, self._unpaid(vendor, JOBS, _body(vendor, draft)))
        accepts = self._accepts(draft.envelope, WORKLOAD)
        quote = probed_quote(vendor, challenge, gpu_type, max_hours, order, self._now(), accepts=accepts)
        return replace(quote, envelope=draft.envelope)

    @scrubbed
    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        return self._challenge_of(vendor, job.quote, JOBS, _body(vendor, job.quote))

    @scrubbed
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        reply = self._paid(vendor, job, JOBS, _body(vendor, job.quote))
        job_id = read_job_id(vendor, read_object(vendor, reply.body))
        access = JobAccess(token=job_id, folder=job.quote.envelope.folder)
        self._remember_access(vendor, access)
        return Submitted(digest(job_id) if job_id else "", access, receipt(reply.headers))

    @scrubbed
    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:  # noqa: ARG002 - it sends all there is
        access = job.access
        self._remember_access(vendor, access)
        if digest(access.token) != job.job_id:
            raise VendorError(f"the id of job {job.job_id} is not kept here: {vendor.vendor_id} knows it by no other")
        reply = self._call(self._statuses, vendor, "GET", job_path(JOB, access.token))
        if read_object(vendor, reply.body).get("job_id", access.token) != access.token:
            raise VendorError(f"{vendor.vendor_id} answers with another job than it was asked for")
        answer = self._object(vendor, reply)
        status, word = state_of(vendor, answer, "status", STATES)
        exit_code = read_exit_code(answer.get("exit_code"))
        problem = "its time was up" if answer.get("status") == "timeout" else ""
        news = self._news_of(vendor, job, lines_of(answer, "output"))
        lines, program_code = read_exit_line(list(news.lines))
        if not news.ended and program_code is None and exit_code in MACHINE_CODES and not _is_failed_setup(lines):
            exit_code, problem = None, f"its machine failed: {lines[-1] if lines else 'without a word'}"
        return self._reported(vendor, report_of(status, word, lines, exit_code, problem), news, access)

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:  # noqa: ARG002 - the port's signature
        raise VendorError(f"{vendor.vendor_id} speaks openvps, which ends no job before its time")


def digest(job_id: str) -> str:
    """The name by which a job is known outside of its access."""
    return hashlib.sha256(f"openvps/{job_id}".encode()).hexdigest()[:32]


def _is_failed_setup(lines: Sequence[str]) -> bool:
    return bool(lines) and _SETUP_FAILED.fullmatch(lines[0]) is not None


def _body(vendor: Vendor, quote: Quote) -> dict[str, Any]:
    """The order in the vendor's fields. Raises VendorError for what it would sell less of without a word."""
    workload = workload_of(quote.order)
    needs, seconds = workload.resources, int(quote.max_hours * 3600)
    memory = -(-needs.memory // MB) if needs.memory else RAM_MB
    for what, amount, largest in (
        ("CPUs", needs.cpu or 1, VCPUS_MAX),
        ("MB of memory", memory, RAM_MB_MAX),
        ("s", seconds, TIMEOUT_MAX_S),
    ):
        if amount > largest:
            raise VendorError(f"{vendor.vendor_id} has {largest} {what} at most, and this job asks for {amount}")
    if workload.image not in IMAGES:
        raise VendorError(f"{vendor.vendor_id} runs ubuntu-24.04, and this job names the image {workload.image}")
    setup = {"setup": workload.setup} if workload.setup and quote.envelope == NO_ENVELOPE else {}
    return {
        "command": command_of(quote, with_setup=False, tell_exit=True),
        **setup,
        "vcpus": needs.cpu or 1,
        "ram_mb": max(memory, RAM_MB_MIN),
        "timeout": max(seconds, TIMEOUT_MIN_S),
    }
