"""Faults of a payment that was sent: the money may move, and the answer is not to be trusted."""

import json
from dataclasses import replace

from starlette.responses import RedirectResponse, Response
from x402.http.utils import safe_base64_decode, safe_base64_encode

from mock_vendor.faults import odd
from mock_vendor.faults.hostile import HOSTILE_BYTES
from mock_vendor.faults.scene import ATTACKER, Scene
from mock_vendor.faults.table import Hook, fault
from seller.api.answers import Answer

FOR_EVER_S = 3600.0
OTHER_TX = "0x" + "ab" * 32
RECEIPT = "PAYMENT-RESPONSE"


@fault("paid")
def error_after_settle(_: Answer, __: Scene) -> Answer:
    """The payment settles, and the answer is 500."""
    return Answer(500, {"error": "internal", "message": "something went wrong"})


@fault("paid")
def drop_after_settle(_: Answer, __: Scene) -> Response:
    """The payment settles, and the connection is closed without an answer."""
    return odd.Cut()


@fault("paid")
def hang_after_settle(answer: Answer, _: Scene) -> Response:
    """The payment settles, and no answer comes as long as the client waits."""
    return odd.Late(answer.to_response(), FOR_EVER_S)


@fault("refused")
def hang_unsettled(answer: Answer, _: Scene) -> Response:
    """A refusal, such as that of never_settle, does not come as long as the client waits."""
    return odd.Late(answer.to_response(), FOR_EVER_S)


@fault("paid")
def redirect_after_settle(_: Answer, scene: Scene) -> Response:
    """The payment settles, and the answer is a 307 to another host, which keeps what is sent to it."""
    return RedirectResponse(scene.lure_url, 307)


@fault("paid")
def redirect_self_after_settle(_: Answer, __: Scene) -> Response:
    """The payment settles, and the answer is a 307 to itself, for ever."""
    return RedirectResponse("/submit-job", 307)


@fault("paid")
def huge_after_settle(_: Answer, __: Scene) -> Response:
    """The payment settles, and the answer is 200 MB."""
    return odd.flood()


@fault("paid")
def drip_after_settle(answer: Answer, _: Scene) -> Response:
    """The payment settles, and the answer comes one byte at a time for minutes."""
    return odd.drip(bytes(answer.to_response().body), 200, answer.headers)


@fault("paid")
def conflict_after_settle(_: Answer, __: Scene) -> Answer:
    """The payment settles, and the answer is that its key was used for something else."""
    return Answer(409, {"error": "key_in_use", "message": "this Idempotency-Key has been used for another request"})


@fault("paid", Hook.VERDICT)
def conflict(_: str, __: Scene) -> str:
    """No payment is taken; every one is answered 409, as if its key had been used for something else."""
    return "conflict"


@fault("paid")
def hostile_after_settle(_: Answer, __: Scene) -> Response:
    """The payment settles, and the answer is 500 and full of instructions, terminal escapes and markup."""
    return Response(HOSTILE_BYTES, 500)


@fault("paid")
def reject_after_settle(_: Answer, scene: Scene) -> Answer:
    """The payment settles, and the answer is a fresh 402 that asks to pay once more."""
    return scene.fresh_402()


@fault("paid")
def receipt_rejects_after_settle(answer: Answer, scene: Scene) -> Answer:
    """The payment settles; the answer is a fresh 402 with a receipt that says it failed, without a transaction."""
    failed = receipt_says_failed(answer, scene)
    fresh = scene.fresh_402()
    return replace(fresh, headers=fresh.headers | failed.headers)


@fault("paid", Hook.VERDICT)
def always_402(_: str, __: Scene) -> str:
    """No payment is taken; every one is answered with a fresh 402."""
    return "refuse"


@fault("paid", Hook.VERDICT)
def settle_late(_: str, __: Scene) -> str:
    """The authorization is kept and answered 503; it settles at POST /mock/settle or when this is off."""
    return "hold"


@fault("paid", Hook.VERDICT)
def never_settle(_: str, __: Scene) -> str:
    """The authorization is kept and answered 503, and is never used."""
    return "keep"


@fault("paid", Hook.VERDICT)
def facilitator_down(_: str, __: Scene) -> str:
    """The facilitator does not answer: nothing is verified or settled, 402, and a receipt without a transaction."""
    return "down"


@fault("paid")
def bogus_receipt(answer: Answer, _: Scene) -> Answer:
    """The receipt names another transaction and another payer."""
    return _with_receipt(answer, transaction=OTHER_TX, payer=ATTACKER)


@fault("paid")
def no_receipt(answer: Answer, _: Scene) -> Answer:
    """The job is given without a receipt."""
    return replace(answer, headers={})


@fault("paid")
def receipt_says_failed(answer: Answer, _: Scene) -> Answer:
    """The payment settles, and the receipt says that it failed."""
    return _with_receipt(answer, success=False, transaction="", errorReason="transaction_failed")


@fault("paid")
def no_job_id(answer: Answer, _: Scene) -> Answer:
    """The payment settles, and the answer names no job."""
    return replace(answer, body={"status": "submitted"})


@fault("paid")
def accepted_after_settle(answer: Answer, _: Scene) -> Answer:
    """The payment settles, and the answer is 202 and names the job otherwise than agreed, within another object."""
    job = {"id": answer.body["vendorJobId"], "state": "QUEUED"}
    return replace(answer, status=202, body={"job": job, "token": "for-polls"})


@fault("paid")
def foreign_job_id(answer: Answer, _: Scene) -> Answer:
    """The payment settles, and every buyer is given one and the same job id."""
    return replace(answer, body=answer.body | {"vendorJobId": "job-of-another-buyer"})


def _with_receipt(answer: Answer, **changes: object) -> Answer:
    receipt = json.loads(safe_base64_decode(answer.headers[RECEIPT])) | changes
    return replace(answer, headers=answer.headers | {RECEIPT: safe_base64_encode(json.dumps(receipt))})
