"""What is asked of a submitted order with a workload before any payment is looked at."""

import base64
import binascii
import hashlib

from seller.api.answers import Refusal
from seller.api.wire import SubmitRequest
from seller.records import Quote
from seller.shop import Shop
from seller.work.inputs import InputRefused, InputStore, StoreFull
from seller.work.order import image_refusal, order_text, read_order, same_terms

INLINE_MAX = 64 * 1024
NAMED_MAX = 5
RETRY_AFTER_S = 60


def check_order(shop: Shop, quote: Quote, request: SubmitRequest, key: str | None, *, paid: bool) -> None:
    """Raises Refusal unless the order is what was quoted, and all is here that it needs. Keeps its inline inputs.

    key: what buys it, and what its inputs were sent with; None of an unpaid order without, of which nothing is kept.
    """
    params = request.job_params
    try:
        text = order_text(params.get("workload"), params.get("resume"))
    except ValueError:
        text = "no order"
    if text != quote.job_order or (text and not same_terms(params, quote.gpu_type, quote.hours)):
        raise Refusal(409, "order_differs", "jobParams are not those of the quote: ask for a quote of this order")
    if not text:
        return
    order, store = read_order(text), shop.workshop.inputs(quote.vendor_id)
    if refusal := image_refusal(order.workload.image, shop.workshop.runner):
        raise Refusal(409, "image_gone", f"what was quoted cannot be run any more, and nothing is taken: {refusal}")
    inline = {name: _inline_content(name, text) for name, text in request.inline.items() if name in order.needed}
    if key is not None:
        for sha256, content in inline.items():
            _keep_inline(store, key, sha256, content)
    ahead = {sha256 for sha256 in order.needed - {*inline} if key is not None and store.path(key, sha256)}
    if missing := sorted(order.needed - {*inline} - ahead):
        named = ", ".join(missing[:NAMED_MAX])
        message = (
            f"{len(missing)} inputs are not here; send by PUT /job-input with this order's Idempotency-Key: {named}"
        )
        raise Refusal(422, "input_missing", message)
    absent = sorted({*order.workload.secrets} - {*request.secrets})
    if paid and absent:
        raise Refusal(422, "secrets_missing", f"the values of {', '.join(absent)} are to come with the payment")
    check_secrets(request)


def check_secrets(request: SubmitRequest) -> None:
    """Raises Refusal for a value that no environment holds."""
    if any("\0" in value or not _is_text(value) for value in given_secrets(request).values()):
        raise Refusal(422, "secrets_invalid", "the value of a secret is no text that an environment can hold")


def given_secrets(request: SubmitRequest) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in request.secrets.items()}


def _inline_content(sha256: str, encoded: str) -> bytes:
    """Raises Refusal for what is not the input of this SHA-256."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, "input_malformed", f"the inline content of {sha256} is not base64") from None
    if len(content) > INLINE_MAX:
        raise Refusal(413, "input_too_large", f"{sha256} has {len(content)} bytes: send it by PUT /job-input")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refusal(422, "input_differs", f"the inline content of {sha256} has another SHA-256")
    return content


def _keep_inline(store: InputStore, key: str, sha256: str, content: bytes) -> None:
    received, complete = store.received(key, sha256)
    if complete:
        return
    try:
        store.put(key, sha256, len(content), received, content[received:])
    except StoreFull as error:
        raise Refusal(503, "store_full", str(error), RETRY_AFTER_S) from None
    except InputRefused as error:
        raise Refusal(422, "input_refused", str(error)) from None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
