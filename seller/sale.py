"""POST /submit-job: offer, take the payment, settle it, and only then begin the job. Each key once."""

import hashlib
import json
import logging

from x402.http.utils import encode_payment_required_header, encode_payment_response_header
from x402.schemas import PaymentRequired, PaymentRequirements, SettleResponse

from seller.api.answers import Answer, Refusal, unsettled
from seller.api.wire import SubmitAnswer, SubmitRequest
from seller.catalogue import Vendor
from seller.conduct import Verdict
from seller.events import event
from seller.payments.hosted import FacilitatorUnavailable
from seller.payments.payment import MalformedPayment, Payment, read_payment
from seller.payments.settlement import Dead, Open, Paid
from seller.payments.till import ChainUnavailable, Unknown
from seller.quotes import quote_of
from seller.records import LOOKS, LOST, Job, NonceTaken, NoRoom, Purchase, Quote, Room
from seller.shop import Shop
from seller.work.order import WORKLOAD
from seller.work.submission import check_order, check_secrets, given_secrets

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 2
ROOM_RETRY_S = 60
EXAMPLE = "bazaar"
"""The extension that has an example of an order."""
NONCE_KEY = "nonce:"
"""Begins the key of a purchase that came without one. No buyer can send it: a nonce is public once it is on chain."""


def submit(shop: Shop, vendor: Vendor, key: str | None, request: SubmitRequest, header: str | None, url: str) -> Answer:
    """Answer a request to buy: without a payment a 402; with one the job, the same answer at every repetition.

    Without a key a payment's payer and nonce are the key: each buys one job.
    """
    if key is None:
        if header is None:
            return _unpaid(shop, vendor, request, url)
        authorization = _read(header).authorization
        key = f"{NONCE_KEY}{authorization.payer}:{authorization.nonce}"
    with shop.locks.hold(vendor.vendor_id, key):
        purchase = shop.database.purchase(vendor.vendor_id, key)
        if purchase is None:
            return _first_time(shop, vendor, key, request, header, url)
        if purchase.fingerprint != fingerprint(request) or header not in (None, purchase.header):
            raise _key_in_use()
        check_secrets(request)
        shop.workshop.take_secrets(vendor.vendor_id, key, given_secrets(request))
        if purchase.answer is not None:
            _start(shop, purchase)
            return Answer(**json.loads(purchase.answer))
        return settle(shop, purchase, url)


def ask_again(shop: Shop, vendor: Vendor, request: SubmitRequest, url: str) -> Answer:
    """A 402 for a quote, whether it has been paid or not."""
    return _ask(_challenge(shop, quote_of(shop, vendor, request), url))


def fingerprint(request: SubmitRequest) -> str:
    """What makes two requests the same. Files follow from their hashes, and secrets leave no trace."""
    ordered = request.model_dump(mode="json", include={"vendor_job_template_id", "job_params"})
    canonical = json.dumps(ordered, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _first_time(shop: Shop, vendor: Vendor, key: str, request: SubmitRequest, header: str | None, url: str) -> Answer:
    payment = _read(header) if header is not None else None
    quote = _checked(shop, vendor, request, key, paid=header is not None)
    _check_open(shop)
    challenge = _challenge(shop, quote, url)
    verdict = shop.conduct.verdict(vendor.vendor_id)
    if payment is None or verdict == "refuse":
        return _ask(challenge)
    if verdict == "down":
        return unsettled(_ask(challenge))
    if verdict == "conflict":
        raise _key_in_use()
    if payment.identifier not in (None, key) and not key.startswith(NONCE_KEY):
        raise Refusal(400, "identifier_mismatch", "payment-identifier differs from Idempotency-Key")
    if shop.terms.payers and payment.authorization.payer not in shop.terms.payers:
        raise Refusal(403, "payer_unknown", "jobs run here for payers that the seller knows alone")
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
    return settle(shop, purchase, url, first=True)


def _unpaid(shop: Shop, vendor: Vendor, request: SubmitRequest, url: str) -> Answer:
    if not request.vendor_job_template_id and not request.job_params and EXAMPLE in shop.extensions:
        # Lists know a route by its URL, and ask it so: they are shown what an order is, and what that one costs.
        request = SubmitRequest.model_validate(shop.extensions[EXAMPLE]["info"]["input"]["body"])
    quote = _checked(shop, vendor, request, None, paid=False)
    _check_open(shop)
    return _ask(_challenge(shop, quote, url))


def _check_open(shop: Shop) -> None:
    """Before the 402 too: what a buyer signs for nothing is held until it ends. Raises Refusal."""
    if shop.closing.reason:
        raise Refusal(503, "closing", shop.closing.reason, ROOM_RETRY_S)


def _checked(shop: Shop, vendor: Vendor, request: SubmitRequest, key: str | None, *, paid: bool) -> Quote:
    """The quote of an order that could be run. Raises Refusal."""
    quote = quote_of(shop, vendor, request)
    if WORKLOAD in shop.conduct.accepts(vendor):
        check_order(shop, quote, request, key, paid=paid)
    return quote


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
        begun_at=shop.clock.now(),
    )
    try:
        shop.database.begin(purchase, _room(shop, quote), lambda: shop.closing.reason)
    except NonceTaken:
        raise Refusal(409, "authorization_in_use", "this authorization has bought another job") from None
    except NoRoom as error:
        raise Refusal(503, "busy", f"nothing is taken for it: {error}", ROOM_RETRY_S) from None
    return purchase


def _room(shop: Shop, quote: Quote) -> Room:
    offer, queue = shop.vendors[quote.vendor_id].offers[quote.gpu_type], shop.terms.queue
    jobs = None if offer.count is None or queue is None else offer.count + queue
    return Room(jobs, shop.terms.per_payer)


def settle(shop: Shop, purchase: Purchase, url: str, verdict: Verdict | None = None, *, first: bool = False) -> Answer:
    """Settle a purchase, also one that is sent again after an unknown outcome: the chain is asked first.

    first: the purchase has just been stored, so that no settlement of it was ever asked for.
    """
    verdict = verdict or shop.conduct.verdict(purchase.vendor_id)
    if verdict == "down":
        return unsettled(_ask(_challenge(shop, _quote(shop, purchase), url)))
    if verdict != "take":
        raise _try_later("the payment is being settled")
    offer = PaymentRequirements.model_validate_json(purchase.requirements)
    match shop.till.settle(read_payment(purchase.header), offer, first=first):
        case Paid(tx):
            return _deliver(shop, purchase, tx, offer)
        case Dead(reason):
            shop.database.forget(purchase)
            shop.workshop.drop_secrets(purchase.vendor_id, purchase.key)
            return _ask(_challenge(shop, _quote(shop, purchase), url, reason))
        case Unknown(reason):
            raise _try_later(f"the payment is being settled ({reason})")


def recover(shop: Shop, purchase: Purchase) -> None:
    """Decide a purchase that was left settling, by the chain alone, for the caller who holds its key.

    One that may still settle is left to its buyer, who sends it again, or to its end.
    """
    match shop.till.look_up(read_payment(purchase.header)):
        case Paid(tx):
            _deliver(shop, purchase, tx, PaymentRequirements.model_validate_json(purchase.requirements))
        case Dead():
            shop.database.forget(purchase)
            shop.workshop.drop_secrets(purchase.vendor_id, purchase.key)


def confirm(shop: Shop, sale: Purchase) -> None:
    """Look for a sale's transfer once more, for the caller who holds its key: a reorganization may take it back.

    While it can still be settled it is settled again. What can never be is no sale any more; its job goes on.
    """
    payment, offer = read_payment(sale.header), PaymentRequirements.model_validate_json(sale.requirements)
    verdict = shop.till.look_up(payment, sale.tx or "")
    if isinstance(verdict, Open):
        verdict = shop.till.settle_again(payment, offer)
    answer = json.loads(sale.answer or "{}")
    match verdict:
        case Paid(tx):
            answer["headers"] = _receipt(sale, tx, offer)
            shop.database.note_look(sale, tx, answer, sale.looks - 1 if tx == sale.tx else LOOKS)
        case Dead(reason):
            shop.database.note_look(sale, sale.tx or "", answer, LOST)
            logger.error("the chain took back the payment %s of %s: %s", sale.tx, sale.payer, reason)


def _receipt(purchase: Purchase, tx: str, offer: PaymentRequirements) -> dict[str, str]:
    """The header that tells a buyer of the transfer."""
    receipt = SettleResponse(
        success=True, transaction=tx, network=offer.network, payer=purchase.payer, amount=str(purchase.amount)
    )
    return {"PAYMENT-RESPONSE": encode_payment_response_header(receipt)}


def _deliver(shop: Shop, purchase: Purchase, tx: str, offer: PaymentRequirements) -> Answer:
    quote = _quote(shop, purchase)
    digest = hashlib.sha256(f"{shop.salt}{purchase.vendor_id} {purchase.key}".encode()).hexdigest()
    job_id = f"{purchase.vendor_id}-{digest[:20]}"
    job = Job(
        job_id=job_id,
        vendor_id=purchase.vendor_id,
        key=purchase.key,
        gpu_type=quote.gpu_type,
        hours=quote.hours,
        amount=purchase.amount,
        sold_at=shop.clock.now(),
        fate=shop.conduct.fate(purchase.vendor_id, job_id, json.loads(purchase.job_params)),
        job_order=quote.job_order,
        start="waiting" if quote.job_order else "",
    )
    answer = {
        "status": 200,
        "body": SubmitAnswer(vendor_job_id=job_id).model_dump(mode="json"),
        "headers": _receipt(purchase, tx, offer),
    }
    shop.database.finish(purchase, job, tx, answer)
    event(logger, "job sold", job=job_id, amount=purchase.amount, payer=purchase.payer, tx=tx)
    _start(shop, purchase)
    return Answer(**answer)  # type: ignore[arg-type]


def _start(shop: Shop, purchase: Purchase) -> None:
    """Start the job of a settled purchase, unless it has been: the caller holds the key."""
    job = shop.database.job_of_key(purchase.vendor_id, purchase.key)
    if job is None or job.start != "waiting":
        shop.workshop.drop_secrets(purchase.vendor_id, purchase.key)
        return
    if shop.workshop.queues:
        return  # the dispatcher starts it
    shop.workshop.start(job)
    shop.conduct.begin(job, shop.workshop.runner)


def _quote(shop: Shop, purchase: Purchase) -> Quote:
    quote = shop.database.quote(purchase.quote_id)
    assert quote is not None, "a purchase is begun from a stored quote, and the quotes of purchases are never deleted"
    return quote


def _challenge(shop: Shop, quote: Quote, url: str, error: str | None = None) -> PaymentRequired:
    challenge = shop.till.challenge(shop.till.offer(quote.amount, quote.pay_to), url, error, shop.extensions)
    return shop.conduct.challenge(shop.vendors[quote.vendor_id], challenge)


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
