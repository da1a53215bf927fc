"""Quotes to documents and back, with the envelopes of their jobs."""

import json
from decimal import Decimal

from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.core.model import NO_ENVELOPE, OWN_PROTOCOL, Envelope, Quote
from gpuagent.core.orders import order_of


def quote_document(quote: Quote) -> Document:
    return {
        "vendorJobTemplateId": quote.template_id,
        "priceEstimate": money(quote.amount),
        "payTo": quote.pay_to,
        "network": quote.network,
        "asset": quote.asset,
        "expiresAt": date(quote.expires_at),
        "etaSeconds": quote.eta_s,
        "accepts": list(quote.accepts),
        "protocol": quote.protocol,
    }


def protocol_of(quote: Document) -> str:
    """The protocol that a recorded quote went by. An older record has none."""
    return str(quote.get("protocol", OWN_PROTOCOL))


def quote_from(job: Document) -> Quote:
    quote = job["quote"]
    return Quote(
        vendor_id=job["vendorId"],
        template_id=quote["vendorJobTemplateId"],
        amount=amount(quote["priceEstimate"]),
        pay_to=quote["payTo"],
        network=quote["network"],
        asset=quote["asset"],
        expires_at=seconds(quote["expiresAt"]),
        eta_s=quote["etaSeconds"],
        gpu_type=job["jobParams"]["gpuType"],
        max_hours=Decimal(str(job["jobParams"]["maxHours"])),
        order=order_of(job["jobParams"]),
        accepts=tuple(quote.get("accepts", ())),
        envelope=_envelope_from(job),
        protocol=protocol_of(quote),
        index=job.get("index", 0),  # a job of a run with one, and an older record, has none
        hedges=str(job.get("hedges", "")),
    )


def envelope_fields(envelope: Envelope) -> Document:
    """Beside the quote, which is shown. As one text: of the fields within a field a change stream may tell by names of
    their own."""
    return {} if envelope == NO_ENVELOPE else {"envelope": json.dumps({"folder": envelope.folder, "url": envelope.url})}


def _envelope_from(job: Document) -> Envelope:
    if not job.get("envelope"):  # most jobs have none
        return NO_ENVELOPE
    envelope = json.loads(job["envelope"])
    return Envelope(envelope["folder"], envelope["url"])
