"""POST /submit-job: offer, take the payment, settle it, and only then begin the job. Each key once."""

import hashlib
import json
import random
from typing import Any

from x402.http.utils import encode_payment_required_header, encode_payment_response_header
from x402.schemas import PaymentRequired, PaymentRequirements, SettleResponse

from mock_vendor.answers import Answer, Refusal, unsettled
from mock_vendor.catalogue import Vendor
from mock_vendor.database import Job, NonceTaken, Purchase, Quote
from mock_vendor.facilitator import ChainUnavailable, Unknown
from mock_vendor.faults import Verdict
from mock_vendor.hosted import FacilitatorUnavailable
from mock_vendor.ledger import Dead, Paid
from mock_vendor.payment import MalformedPayment, Payment, read_payment
from mock_vendor.shop import Shop
from mock_vendor.wire import SubmitAnswer, SubmitRequest
from mock_vendor.work_order import WORKLOAD
from mock_vendor.work_status import watch_node
from mock_vendor.work_submission import check_order, given_secrets

RETRY_AFTER_S = 2
DEFAULT_EPOCHS = 3
MAX_EPOCHS = 100


def submit(shop: Shop, vendor: Vendor, key: str, request: SubmitRequest, header: str | None, url: str) -> Answer:
    """Answer a request to buy: without a payment a 402; with one the job, the same answer at every repetition."""
    with shop.locks.hold(vendor.vendor_id, key):
        purchase = shop.database.purchase(vendor.vendor_id, key)
        if purchase is None:
            return _first_time(shop, vendor, key, request, header, url)
        if purchase.fingerprint != fingerprint(request) or header not in (None, purchase.header):
            raise _key_in_use()
        shop.workshop.take_secrets(vendor.vendor_id, key, given_secrets(request))
        if purchase.answer is not None:
            _start(shop, purchase)
            return Answer(**json.loads(purchase.answer))
        return _settle(shop, purchase, url)


def settle_held(shop: Shop, url: str) -> int:
    """Settle what is unsettled, but for what a fault keeps for ever. Returns how many were paid."""
    paid = 0
    for purchase in shop.database.purchases():
        if shop.faults.verdict(purchase.vendor_id) == "keep":
            continue
        with shop.locks.hold(purchase.vendor_id, purchase.key):
            current = shop.database.purchase(purchase.vendor_id, purchase.key)
            if current != purchase or current.state != "settling":
                continue
            try:
                paid += _settle(shop, current, url, verdict="take").status == 200
            except Refusal:  # this one can no longer be settled; the others still may
                continue
    return paid


def ask_again(shop: Shop, vendor: Vendor, request: SubmitRequest, url: str) -> Answer:
    """A 402 for a quote, whether it has been paid or not."""
    return _ask(_challenge(shop, _quote(shop, vendor, request.vendor_job_template_id), url))


def fingerprint(request: SubmitRequest) -> str:
    """What makes two requests the same. Files follow from their hashes, and secrets leave no trace."""
    ordered = request.model_dump(mode="json", include={"vendor_job_template_id", "job_params"})
    canonical = json.dumps(ordered, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _first_time(shop: Shop, vendor: Vendor, key: str, request: SubmitRequest, header: str | None, url: str) -> Answer:
    payment = _read(header) if header is not None else None
    quote = _quote(shop, vendor, request.vendor_job_template_id)
    if WORKLOAD in shop.faults.accepts(vendor.vendor_id):
        check_order(shop, quote, request, paid=header is not None)
    challenge = _challenge(shop, quote, url)
    verdict = shop.faults.verdict(vendor.vendor_id)
    if payment is None or verdict == "refuse":
        return _ask(challenge)
    if verdict == "down":
        return unsettled(_ask(challenge))
    if verdict == "conflict":
        raise _key_in_use()
    if payment.identifier not in (None, key):
        raise Refusal(400, "identifier_mismatch", "payment-identifier differs from Idempotency-Key")
    offer = shop.till.matching(challenge, payment)
    if offer is None:
        return _ask(_challenge(shop, quote, url, "the payment does not accept this offer"))
    try:
        objection = shop.till.objection(payment, offer)
    except ChainUnavailable as error:
        raise _try_later("the chain does not answer") from error
    except FacilitatorUnavailable as error:
        raise _try_later("the facilitator does not answer") from error
    if objection is not None:
        return _ask(_challenge(shop, quote, url, objection))
    purchase = _begin(shop, quote, key, request, payment, offer)
    shop.workshop.take_secrets(vendor.vendor_id, key, given_secrets(request))
    return _settle(shop, purchase, url)


def _begin(
    shop: Shop, quote: Quote, key: str, request: SubmitRequest, payment: Payment, offer: PaymentRequirements
) -> Purchase:
    """Record the purchase before the settlement is asked for, so that a kill in between loses nothing."""
    authorization = payment.authorization
    purchase = Purchase(
        vendor_id=quote.vendor_id,
        key=key,
        fingerprint=fingerprint(request),
        quote_id=quote.quote_id,
        payer=authorization.payer,
        nonce=authorization.nonce,
        amount=authorization.amount,
        pay_to=authorization.payee,
        header=payment.header,
        requirements=offer.model_dump_json(),
        job_params=json.dumps(request.job_params),
    )
    try:
        shop.database.begin(purchase)
    except NonceTaken:
        raise Refusal(409, "authorization_in_use", "this authorization has bought another job") from None
    return purchase


def _settle(shop: Shop, purchase: Purchase, url: str, verdict: Verdict | None = None) -> Answer:
    """Settle a purchase, also one that is sent again after an unknown outcome: the chain is asked first."""
    verdict = verdict or shop.faults.verdict(purchase.vendor_id)
    if verdict == "down":
        quote = _quote(shop, shop.vendors[purchase.vendor_id], purchase.quote_id)
        return unsettled(_ask(_challenge(shop, quote, url)))
    if verdict != "take":
        raise _try_later("the payment is being settled")
    offer = PaymentRequirements.model_validate_json(purchase.requirements)
    match shop.till.settle(read_payment(purchase.header), offer):
        case Paid(tx):
            return _deliver(shop, purchase, tx, offer)
        case Dead(reason):
            shop.database.forget(purchase)
            shop.workshop.drop_secrets(purchase.vendor_id, purchase.key)
            quote = _quote(shop, shop.vendors[purchase.vendor_id], purchase.quote_id)
            return _ask(_challenge(shop, quote, url, reason))
        case Unknown(reason):
            raise _try_later(f"the payment is being settled ({reason})")


def _deliver(shop: Shop, purchase: Purchase, tx: str, offer: PaymentRequirements) -> Answer:
    quote = shop.database.quote(purchase.quote_id)
    assert quote is not None, "a purchase is begun from a stored quote, and quotes are never deleted"
    digest = hashlib.sha256(f"{purchase.vendor_id} {purchase.key}".encode()).hexdigest()
    job_id = f"{purchase.vendor_id}-{digest[:20]}"
    job = Job(
        job_id=job_id,
        vendor_id=purchase.vendor_id,
        key=purchase.key,
        gpu_type=quote.gpu_type,
        hours=quote.hours,
        epochs=_epochs(json.loads(purchase.job_params)),
        amount=purchase.amount,
        doomed=_is_doomed(shop, purchase.vendor_id, job_id),
        started_at=shop.clock.now(),
        job_order=quote.job_order,
        start="waiting" if quote.job_order else "",
    )
    receipt = SettleResponse(
        success=True, transaction=tx, network=offer.network, payer=purchase.payer, amount=str(purchase.amount)
    )
    answer = {
        "status": 200,
        "body": SubmitAnswer(vendor_job_id=job_id).model_dump(mode="json"),
        "headers": {"PAYMENT-RESPONSE": encode_payment_response_header(receipt)},
    }
    shop.database.finish(purchase, job, tx, answer)
    _start(shop, purchase)
    return Answer(**answer)  # type: ignore[arg-type]


def _start(shop: Shop, purchase: Purchase) -> None:
    """Start the job of a settled purchase, unless it has been: the caller holds the key."""
    job = shop.database.job_of_key(purchase.vendor_id, purchase.key)
    if job is None or job.start != "waiting":
        shop.workshop.drop_secrets(purchase.vendor_id, purchase.key)
        return
    shop.workshop.start(job)
    watch_node(shop, job)


def _is_doomed(shop: Shop, vendor_id: str, job_id: str) -> bool:
    succeeds = shop.overrides.next_outcome(vendor_id)
    if succeeds is not None:
        return not succeeds
    dice = random.Random(f"{shop.settings.seed}:{job_id}:fate")  # noqa: S311
    return vendor_id == shop.settings.fail_vendor_id or dice.random() < shop.settings.fail_rate


def _epochs(job_params: dict[str, Any]) -> int:
    epochs = job_params.get("epochs")
    return epochs if type(epochs) is int and 1 <= epochs <= MAX_EPOCHS else DEFAULT_EPOCHS


def _quote(shop: Shop, vendor: Vendor, quote_id: str) -> Quote:
    quote = shop.database.quote(quote_id)
    if quote is None or quote.vendor_id != vendor.vendor_id:
        raise Refusal(404, "quote_unknown", f"{vendor.vendor_id} gave no quote {quote_id!r}")
    if quote.expires_at <= shop.clock.now():
        raise Refusal(410, "quote_expired", "the quote has expired; ask for a new one")
    return quote


def _challenge(shop: Shop, quote: Quote, url: str, error: str | None = None) -> PaymentRequired:
    challenge = shop.till.challenge(shop.till.offer(quote.amount, quote.pay_to), url, error)
    return shop.faults.bend_challenge(quote.vendor_id, challenge)


def _ask(challenge: PaymentRequired) -> Answer:
    body = challenge.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Answer(402, body, {"PAYMENT-REQUIRED": encode_payment_required_header(challenge)})


def _read(header: str) -> Payment:
    try:
        return read_payment(header)
    except MalformedPayment as error:
        raise Refusal(400, "payment_malformed", str(error)) from None


def _key_in_use() -> Refusal:
    return Refusal(409, "key_in_use", "this Idempotency-Key has been used for another request")


def _try_later(message: str) -> Refusal:
    return Refusal(503, "settlement_pending", message, RETRY_AFTER_S)
