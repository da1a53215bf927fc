"""HyperCLI's x402 jobs: the buyer names an amount, and the runtime follows from it. See docs/vendors/hypercli.md.

Written from public sources at HyperCLI/hypercli 07656760, never called live.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gpuagent.adapters.vendors.access import read_access
from gpuagent.adapters.vendors.answers import read_object
from gpuagent.adapters.vendors.calls import scrubbed
from gpuagent.adapters.vendors.claims import read_unused
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
from gpuagent.adapters.vendors.news import WORD_MAX
from gpuagent.adapters.vendors.probe import probed_quote
from gpuagent.adapters.vendors.shell_line import read_exit_line, workload_of
from gpuagent.core.credits import CreditClaim
from gpuagent.core.dialects import hypercli_gpu
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
from gpuagent.core.money import UNIT, show_usd
from gpuagent.core.orders import CANCEL, CREDIT, WORKLOAD
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.text import clean
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import OfferInvalid, VendorError
from gpuagent.wire.bounded_http import Reply
from gpuagent.wire.x402 import receipt

ORDER, JOB, LOGS, PRICING = "/api/x402/job", "/api/jobs/{}", "/api/jobs/{}/logs", "/instances/pricing"
IMAGE = "nvidia/cuda:12.6.3-runtime-ubuntu22.04"
"""Of its documents' examples: what a job without an image of its own runs in."""
NESTED, FLAT = "amount", "runtime"
"""The two bodies that are documented, by the field that only they have."""
UNPROCESSABLE = 422
AMOUNT_MIN = UNIT // 100
NAMES_MAX = 200
"""Characters of the names that an error repeats."""
STATES = {
    "pending": JobStatus.SUBMITTED,
    "queued": JobStatus.SUBMITTED,
    "assigned": JobStatus.SUBMITTED,
    "running": JobStatus.RUNNING,
    "succeeded": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "terminated": JobStatus.FAILED,
    "canceled": JobStatus.FAILED,
}
PROBLEMS = {"terminated": "it was ended by the vendor, or with its runtime", "canceled": "it was cancelled"}


class HyperCliVendor(CommandVendor):
    """A quote's template is which body the vendor takes, and the region that it is priced in: `amount us-east`."""

    @scrubbed
    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:  # noqa: ARG002
        draft = self._draft(vendor, gpu_type, max_hours, order)
        try:
            region, hourly = self._price(vendor, gpu_type, workload_of(order).resources.gpu_count)
        except VendorError as error:
            return self._priced_by_runtime(vendor, draft, error)
        amount = max(int((hourly * max_hours * UNIT).to_integral_value(ROUND_CEILING)), AMOUNT_MIN)
        draft, template = replace(draft, amount=amount), f"{NESTED} {region}"
        reply = self._unpaid(vendor, ORDER, _body(draft, template), (UNPROCESSABLE,))
        if reply.status == UNPROCESSABLE:
            template = f"{FLAT} {region}"
            reply = self._unpaid(vendor, ORDER, _body(draft, template))
        quote = self._quote(vendor, reply, draft, template)
        if template.startswith(NESTED) and quote.amount != amount:
            raise OfferInvalid(
                f"{vendor.vendor_id} asks for {show_usd(quote.amount)} where {show_usd(amount)} was named to it"
            )
        return quote

    def _priced_by_runtime(self, vendor: Vendor, draft: Quote, problem: VendorError) -> Quote:
        """Where there is no price list, the body that names no amount is answered with the price all the same."""
        reply = self._unpaid(vendor, ORDER, _body(draft, FLAT), (UNPROCESSABLE,))
        if reply.status == UNPROCESSABLE:
            raise problem
        return self._quote(vendor, reply, draft, FLAT)

    def _quote(self, vendor: Vendor, reply: Reply, draft: Quote, template: str) -> Quote:
        quote = probed_quote(
            *(vendor, offer_in(vendor, reply), draft.gpu_type, draft.max_hours, draft.order, self._now()),
            accepts=self._accepts(draft.envelope, WORKLOAD, CANCEL, CREDIT),
            template_id=template,
        )
        return replace(quote, envelope=draft.envelope)

    @scrubbed
    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        return self._challenge_of(vendor, job.quote, ORDER, _body(job.quote, job.quote.template_id))

    @scrubbed
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        reply = self._paid(vendor, job, ORDER, _body(job.quote, job.quote.template_id))
        answer = read_object(vendor, reply.body)
        access = read_access(vendor, answer, ("access_key",), ())
        self._remember_access(vendor, access)
        access = replace(access, folder=job.quote.envelope.folder)
        return Submitted(read_job_id(vendor, answer), access, receipt(reply.headers))

    @scrubbed
    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:  # noqa: ARG002 - it sends all there is
        access = job.access
        reply = self._call(self._statuses, vendor, "GET", job_path(JOB, job.job_id), access=access)
        answer = self._object(vendor, reply)
        check_same_job(vendor, answer, job.job_id)
        status, word = state_of(vendor, answer, "state", STATES)
        is_needed = bool(access.folder) and status in (JobStatus.COMPLETED, JobStatus.FAILED)
        output = self._lines(vendor, job, is_needed=is_needed)
        news = self._news_of(vendor, job, output)
        lines, exit_code = read_exit_line(list(news.lines))
        if news.ended:
            exit_code = news.exit_code
        if status is JobStatus.COMPLETED and exit_code is None:
            exit_code = 0  # that is what its word for success means
        problem = PROBLEMS.get(str(answer.get("state")).lower(), "")
        report = report_of(status, word, lines, exit_code, problem)
        return self._reported(vendor, replace(report, credit=_credit(answer)), news, access)

    @scrubbed
    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        """What is left of the amount goes to a balance at HyperCLI: how much, the next news of the job say."""
        path = job_path(JOB, job.job_id)
        reply = self._call(self._submits, vendor, "DELETE", path, expect=range(200, 300), access=job.access)
        answer = self._object(vendor, reply) if reply.body.strip() else {}
        word = answer.get("status")
        return clean(word, WORD_MAX) if isinstance(word, str) else f"answered {reply.status}"

    def _lines(self, vendor: Vendor, job: VendorJob, *, is_needed: bool) -> list[str]:
        """The job's output. None that can be had says nothing of the job, whose state is known.

        is_needed: it says what the job left. Then that it cannot be had is an error: the vendor is asked again.
        """
        try:
            reply = self._call(self._statuses, vendor, "GET", job_path(LOGS, job.job_id), access=job.access)
            return lines_of(self._object(vendor, reply), "logs")
        except VendorError:
            if is_needed:
                raise
            return []

    def _price(self, vendor: Vendor, gpu_type: str, count: int) -> tuple[str, Decimal]:
        """The cheapest region of interruptible machines of this kind, and the hour's price there in USD."""
        suffix = f"_x{count}"
        key = hypercli_gpu(gpu_type) + suffix
        answer = self._object(vendor, self._call(self._quotes, vendor, "GET", PRICING))
        regions = answer.get(key)
        prices = {
            region: price
            for region, tiers in (regions.items() if isinstance(regions, dict) else ())
            if isinstance(tiers, Mapping) and (price := _interruptible(tiers)) and _is_name(region)
        }
        if not prices:
            listed = clean(", ".join(sorted(name for name in answer if name.endswith(suffix))), NAMES_MAX)
            names = f": it lists {listed}" if listed and key not in answer else ""
            raise VendorError(f"{vendor.vendor_id} has no price for {key}, interruptible, in {PRICING}{names}")
        region = min(prices, key=lambda name: (prices[name], name))
        return region, prices[region]


def _credit(answer: Mapping[str, Any]) -> CreditClaim | None:
    """What it keeps of a cancelled job's amount on the platform's balance, by its own price and time left."""
    cancelled = str(answer.get("state")).lower() == "canceled"
    return read_unused(answer.get("price_per_hour"), _seconds_left(answer)) if cancelled else None


def _seconds_left(answer: Mapping[str, Any]) -> object:
    """Of the job's runtime; by its times where it does not say so itself. 0 where they are not to be had."""
    if (left := answer.get("time_left")) is not None:
        return left
    runtime, began, ended = (answer.get(name) for name in ("runtime", "started_at", "completed_at"))
    if began is None:
        return runtime
    times = [Decimal(time) for time in (runtime, began, ended) if isinstance(time, int | Decimal)]
    return times[0] - max(times[2] - times[1], Decimal(0)) if len(times) == 3 else 0


def _interruptible(tiers: Mapping[str, Any]) -> Decimal | None:
    """The price of the tier, which it misspells."""
    return _usd(tiers.get("interruptable", tiers.get("interruptible")))


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    price = Decimal(value)
    return price if price.is_finite() and 0 < price < 10**6 else None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= WORD_MAX and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def _body(quote: Quote, template: str) -> dict[str, Any]:
    form, _, region = template.partition(" ")
    workload = workload_of(quote.order)
    line, is_wrapped = command_of(quote, with_env=False, tell_exit=True), quote.envelope != NO_ENVELOPE
    job = {
        "docker_image": workload.image or IMAGE,
        "gpu_type": hypercli_gpu(quote.gpu_type),
        "gpu_count": workload.resources.gpu_count,
        "interruptible": True,
        "command": b64encode(line.encode()).decode(),
        **({"region": region} if region else {}),
        **({"env_vars": dict(workload.env)} if workload.env and not is_wrapped else {}),
    }
    if form == NESTED:
        return {"amount": quote.amount / UNIT, "job": job}
    return {**job, "runtime": int((quote.max_hours * 3600).to_integral_value(ROUND_CEILING))}
