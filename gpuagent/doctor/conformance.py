"""Conformance checks of a vendor's endpoint against the vendor API, without paying: `gpuagent vendor check`."""

from dataclasses import replace
from decimal import Decimal
from secrets import token_hex

from gpuagent.agent.price_check import price_quote
from gpuagent.core.model import Quote, Reserved, Terms, Token, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.networks import NOWHERE
from gpuagent.core.orders import job_params
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.terms import problem
from gpuagent.doctor.probe import ConformanceResult, Probe
from gpuagent.doctor.published import job_fields, state_words
from gpuagent.doctor.work_conformance import check_work
from gpuagent.errors import BadInput, ConfigError, GpuAgentError
from gpuagent.wire.bounded_http import BoundedHttp, is_encrypted_or_local
from gpuagent.wire.vendor_words import JOB_NAMES, status_of

HOURS = Decimal(1)
DETAIL_MAX = 300


def check(
    vendor: Vendor, gpu_type: str, vendor_api: VendorApi, http: BoundedHttp, token: str
) -> list[ConformanceResult]:
    """Every check in order; without a quote the rest cannot be tried. vendor: only endpoint, id and secret_env count.

    token: "" for a vendor that asks for none, whose secret_env is "" too.
    """
    if vendor.secret_env and not token:
        raise ConfigError(f"set {vendor.secret_env}: the bearer token that the vendor gave you")
    if not is_encrypted_or_local(vendor.endpoint):
        raise BadInput(f"{vendor.endpoint} is not https: what is sent could be read, and changed, on the way")
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    probe = Probe(vendor, http, {**bearer, "x-vendor-id": vendor.vendor_id})
    alone = ("refuses a caller without a token", (401, 403), "POST", "/quote", _order(gpu_type))
    results = [
        *([probe.expect(*alone, bare=True)] if token else []),
        probe.expect("refuses a GPU it does not have", (400, 404, 422), "POST", "/quote", _order("no-such-gpu")),
        probe.expect("knows no job it never sold", (404,), "GET", "/job-status?vendorJobId=no-such-job"),
        *_published(probe),
    ]
    try:
        quote = price_quote(vendor_api, vendor, gpu_type, HOURS)
    except GpuAgentError as error:
        return [*results, ConformanceResult("quotes a price", False, str(error))]
    results.append(ConformanceResult("quotes a price", True, f"{show_usd(quote.amount)} for {HOURS} h of {gpu_type}"))
    submit = {"vendorJobTemplateId": quote.template_id, "jobParams": job_params(quote) if quote.order else {}}
    return [
        *results,
        *_asks_for_its_quote(vendor, quote, vendor_api),
        probe.expect(
            "refuses a payment that is none",
            (400, 402),
            "POST",
            "/submit-job",
            submit,
            {"Idempotency-Key": token_hex(12), "PAYMENT-SIGNATURE": "bm90IGEgcGF5bWVudA=="},
        ),
        *check_work(probe, gpu_type, HOURS, vendor_api),
    ]


def _asks_for_its_quote(vendor: Vendor, quote: Quote, vendor_api: VendorApi) -> list[ConformanceResult]:
    """The 402 to an unpaid order, and to the same order under the same key, as after a crash."""
    name, again, order = "asks by 402 for exactly what it quoted", "answers an order twice alike", token_hex(12)
    try:
        challenge = vendor_api.challenge(vendor, Reserved(order, quote, 0))
    except GpuAgentError as error:
        return [ConformanceResult(name, False, str(error))]
    problems = [_differs(terms, quote, vendor) for terms in challenge.accepts]
    if "" not in problems:
        detail = "; ".join(problems) or "the 402 offers nothing that can be read"
        return [ConformanceResult(name, False, detail)]
    first = ConformanceResult(name, True, f"{show_usd(quote.amount)} to {quote.pay_to} on {quote.network}")
    try:
        alike = vendor_api.challenge(vendor, Reserved(order, quote, 0)).accepts == challenge.accepts
    except GpuAgentError as error:
        return [first, ConformanceResult(again, False, str(error))]
    return [first, ConformanceResult(again, alike, "the same 402" if alike else "another 402 for the same key")]


def _published(probe: Probe) -> list[ConformanceResult]:
    """The paid answers, which cannot be seen without paying, as far as the vendor publishes them."""
    contract = probe.contract()
    if contract is None:
        return [ConformanceResult("publishes its answers", True, "no /openapi.json: its words could not be checked")]
    words, fields = state_words(contract), job_fields(contract)
    new = [word for word in words if not status_of(word)]
    states = f"new words, which count as alive: {', '.join(new)}" if new else ", ".join(words) or "not published"
    named = any(name in fields for name in JOB_NAMES) or not fields
    missing = f"none of {', '.join(JOB_NAMES)}, only {', '.join(fields)}"
    return [
        ConformanceResult("names states of a job in words that are known", not new, states[:DETAIL_MAX]),
        ConformanceResult(
            "names the job of a paid order", named, ", ".join(fields)[:DETAIL_MAX] if named else missing[:DETAIL_MAX]
        ),
    ]


def _differs(terms: Terms, quote: Quote, vendor: Vendor) -> str:
    """The agent's objection to the terms, had the operator recorded what the quote says; "" for none."""
    domain = (str(terms.extra.get("name", "")), str(terms.extra.get("version", "")))
    recorded = replace(vendor, pay_to=quote.pay_to, network=quote.network, asset=quote.asset)
    return problem(terms, quote, recorded, Token(quote.network, quote.asset, *domain))


def unrecorded_vendor(url: str, vendor_id: str, secret_env: str) -> Vendor:
    """A vendor of which only the endpoint is known."""
    return Vendor(vendor_id, vendor_id, url, NOWHERE, "", NOWHERE, secret_env, 0, 0, ())


def _order(gpu_type: str) -> dict[str, object]:
    return {"jobType": "training", "gpuType": gpu_type, "maxHours": float(HOURS), "jobMetadata": {}}
