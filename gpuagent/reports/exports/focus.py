"""A report's charges with the columns of FOCUS 1.2 (https://focus.finops.org/focus-specification/v1-2/).

All 21 mandatory columns, and those of the optional ones that are known here. Rows: every payment that settled in the
period (Usage: the hours that were bought), what of it came back (a negative row of 0 hours, dated as the payment), and
every paid answer of a planner (tokens). Columns that are always null, and why:
- BillingAccountName: a wallet has an address and no name;
- ChargeClass: nothing here corrects an invoice of an earlier billing period;
- InvoiceId: x402 knows no invoices; x_TransactionId is what proves a payment.
ListCost and ContractedCost equal BilledCost: a vendor's binding quote is the only price it ever offered for the job.
BillingCurrency is USD, for 1 USDC is booked as 1 USD. Tags are a JSON object of true, for they have no values.
x_HedgedJobId is the late job that a hedge was bought for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from heapq import merge
from itertools import groupby
from typing import Any

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports.figures.spend import with_outcome
from gpuagent.reports.frames import TIME, Frame
from gpuagent.reports.period import month_of
from gpuagent.reports.report import Report
from gpuagent.reports.stream import ExportStream

MANDATORY = {
    "BilledCost": "object",
    **dict.fromkeys(("BillingAccountId", "BillingAccountName", "BillingCurrency"), "str"),
    **dict.fromkeys(("BillingPeriodEnd", "BillingPeriodStart"), TIME),
    **dict.fromkeys(("ChargeCategory", "ChargeClass", "ChargeDescription"), "str"),
    **dict.fromkeys(("ChargePeriodEnd", "ChargePeriodStart"), TIME),
    **dict.fromkeys(("ContractedCost", "EffectiveCost"), "object"),
    "InvoiceIssuerName": "str",
    **dict.fromkeys(("ListCost", "PricingQuantity"), "object"),
    **dict.fromkeys(("PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"), "str"),
}
"""The columns and their types; object is Decimal."""
OPTIONAL = (
    *("ChargeFrequency", "InvoiceId", "ResourceId", "ResourceType", "ServiceSubcategory", "SubAccountId", "Tags"),
    *("x_RunId", "x_JobId", "x_GpuType", "x_Outcome", "x_Protocol", "x_TransactionId", "x_HedgedJobId"),
)
FOCUS = {**MANDATORY, **dict.fromkeys(OPTIONAL, "str")}
SECOND = timedelta(seconds=1)


def focus(report: Report) -> Frame:
    """One row per charge, oldest first. BilledCost adds up to the report's spend."""
    with report.stream() as stream:
        return frame_of(charges(stream))


def charges(stream: ExportStream) -> Iterator[dict[str, Any]]:
    """The rows of focus(), one by one."""
    names = dict(zip(stream.vendors.vendorId, stream.vendors.name, strict=True))
    yield from merge(_of_jobs(stream, names), _of_planners(stream), key=lambda row: row["ChargePeriodStart"])


def frame_of(rows: Iterable[Mapping[str, Any]]) -> Frame:
    """Rows as a frame."""
    table = pd.DataFrame(list(rows), columns=list(FOCUS))
    for name in (name for name, kind in FOCUS.items() if kind == TIME):
        table[name] = pd.to_datetime(table[name], utc=True)
    return table.astype(FOCUS)


def _of_jobs(stream: ExportStream, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Of jobs that settled at one time, those first that were reserved first."""
    jobs = (job for batch in stream.settled("settledAt") for job in with_outcome(batch).itertuples())
    for _, alike in groupby(jobs, key=lambda job: job.settledAt):
        for job in sorted(alike, key=lambda job: (job.createdAt, job.jobId)):
            yield from _job_rows(job, names.get(job.vendorId) or job.vendorId)


def _of_planners(stream: ExportStream) -> Iterator[dict[str, Any]]:
    for batch in stream.decisions("began"):
        runs = stream.runs_of(batch).set_index("runId")
        for decision in batch.itertuples():
            yield _planner_row(decision, runs.loc[decision.runId])


def _job_rows(job: Any, vendor: str) -> Iterator[dict[str, Any]]:
    """The charge for a settled payment, and the refund, if there was one. vendor: its name."""
    planned = job.settledAt + timedelta(hours=job.hours)
    ended = planned if pd.isna(job.completedAt) else max(job.completedAt, job.settledAt + SECOND)
    row = {
        **_charge(job.paid, job.payer, vendor, job.settledAt, ended),
        "ChargeDescription": f"{job.hours:g} h {job.gpuType} for: {job.goal} ({job.outcome})",
        "PricingQuantity": Decimal(str(job.hours)),
        "PricingUnit": "Hours",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Other (Compute)",
        "ServiceName": f"{job.gpuType} GPU job",
        "ResourceId": job.vendorJobId or None,
        "ResourceType": "GPU job" if job.vendorJobId else None,
        "SubAccountId": job.userId,
        "Tags": _tags(job.tags),
        "x_RunId": job.runId,
        "x_JobId": job.jobId,
        "x_GpuType": job.gpuType,
        "x_Outcome": job.outcome,
        "x_Protocol": job.protocol,
        "x_TransactionId": job.x402TxId or None,
        "x_HedgedJobId": job.hedges or None,
    }
    yield row
    if job.refunded:
        description = f"Refund: {row['ChargeDescription']}"
        yield {**row, **_costs(-job.refunded), "PricingQuantity": Decimal(0), "ChargeDescription": description}


def _planner_row(decision: Any, run: Any) -> dict[str, Any]:
    """The charge for a paid answer of a planner."""
    service = decision.model or decision.planner
    provider = decision.model.partition("/")[0] or service
    start = decision.at - max(timedelta(milliseconds=decision.latencyMs), SECOND)
    tokens = decision.promptTokens + decision.completionTokens
    return {
        **_charge(decision.cost, run.payer, provider, start, decision.at),
        "ChargeDescription": f"planner {decision.planner} asked about: {run.goal}",
        "PricingQuantity": Decimal(int(tokens or 1)),
        "PricingUnit": "Tokens" if tokens else "Requests",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": service,
        "SubAccountId": run.userId,
        "Tags": _tags(run.tags),
        "x_RunId": decision.runId,
    }


def _charge(amount: int, payer: str, issuer: str, start: Any, end: Any) -> dict[str, Any]:
    """The columns that all rows share. amount: atomic units."""
    month, next_month = month_of(start.to_pydatetime())
    return {
        **_costs(amount),
        "BillingAccountId": payer,
        "BillingCurrency": "USD",
        "BillingPeriodStart": month,
        "BillingPeriodEnd": next_month,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), issuer),
    }


def _costs(amount: int) -> dict[str, Decimal]:
    return dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), usd(int(amount)))


def _tags(tags: Any) -> str:
    return json.dumps(dict.fromkeys(tags, True), ensure_ascii=False)
