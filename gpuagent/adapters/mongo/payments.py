"""Payments to documents and back: the authorization, the vendor's answer, the outcome on chain."""

import base64
import json

from bson import ObjectId

from gpuagent.adapters.mongo.values import Document, amount, date, money, seconds
from gpuagent.core.model import (
    NO_ACCESS,
    TIMEOUT_MAX_S,
    Authorization,
    Authorized,
    Job,
    JobAccess,
    Reserved,
    Run,
    Settled,
    Settlement,
    Voided,
)

PAYMENT_STATUS = {Authorized: "pending", Settled: "completed", Voided: "failed"}


def payment_document(run: Run, job: Job) -> Document | None:
    """The payment document of a job, None where nothing was ever signed."""
    if isinstance(job, Reserved) or job.authorization is None:
        return None
    terms = job.authorization
    document: Document = {
        "runId": ObjectId(run.run_id),
        "jobId": ObjectId(job.job_id),
        "attempt": 0,
        "vendorId": job.quote.vendor_id,
        "amount": money(terms.amount),
        "currency": "USDC",
        "status": PAYMENT_STATUS[type(job)],
        "payer": terms.payer,
        "payee": terms.payee,
        "asset": terms.asset,
        "network": terms.network,
        "nonce": terms.nonce,
        "validBefore": terms.valid_before,
        "fromBlock": terms.from_block,
        "lifeSeconds": terms.life_s,
        "header": job.header,
    }
    if not isinstance(job, Voided) and job.access != NO_ACCESS:
        # As one text: of the fields within a field a change stream may tell by names of their own.
        access = {"token": job.access.token, "pollUrl": job.access.poll_url}
        access |= {"folder": job.access.folder} if job.access.folder else {}
        document |= {"access": json.dumps(access)}
    match job:
        case Authorized(last_reply=reply, vendor_job_id=vendor_job_id, cancellation=cancellation):
            document |= {"lastReply": reply, "namedJob": vendor_job_id, "cancellation": cancellation}
        case Settled(settlement=settlement):
            document |= {
                "x402TxId": settlement.transaction,
                "blockNumber": settlement.block_number,
                "settledAt": date(settlement.at),
            }
    return document


def authorization_from(payment: Document) -> Authorization:
    return Authorization(
        payer=payment["payer"],
        payee=payment["payee"],
        amount=amount(payment["amount"]),
        network=payment["network"],
        asset=payment["asset"],
        nonce=payment["nonce"],
        valid_before=payment["validBefore"],
        from_block=payment["fromBlock"],
        life_s=payment.get("lifeSeconds", TIMEOUT_MAX_S),  # an older record has none
    )


def settlement_from(payment: Document) -> Settlement:
    return Settlement(payment["x402TxId"], payment["blockNumber"], int(seconds(payment["settledAt"])))


def access_from(payment: Document) -> JobAccess:
    access = payment.get("access")  # most vendors give none
    if not access:
        return NO_ACCESS
    fields = json.loads(access)
    return JobAccess(fields["token"], fields["pollUrl"], fields.get("folder", ""))  # older records have no folder


def signed_otherwise(payment: Document) -> list[str]:
    """The terms of the signed header that the payment's own fields say otherwise, by their names in EIP-3009."""
    recorded = {
        "from": payment["payer"],
        "to": payment["payee"],
        "value": str(authorization_from(payment).amount),
        "validBefore": str(payment["validBefore"]),
        "nonce": payment["nonce"],
    }
    try:
        signed = json.loads(base64.b64decode(payment["header"], validate=True))["payload"]["authorization"]
        return [name for name, term in recorded.items() if str(signed[name]).lower() != term.lower()]
    except (ValueError, LookupError, TypeError):
        return ["none that can be read"]
