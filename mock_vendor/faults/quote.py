"""Faults of POST /quote."""

from dataclasses import replace

from starlette.responses import RedirectResponse, Response

from mock_vendor.faults import odd
from mock_vendor.faults.hostile import HOSTILE_BYTES, HOSTILE_LINES, HOSTILE_TEXT
from mock_vendor.faults.scene import ATTACKER, Scene
from mock_vendor.faults.table import Hook, fault
from seller.api.answers import Answer
from seller.records import Quote


@fault("quote")
def down(_: Answer, __: Scene) -> Answer:
    """Every quote is answered 503."""
    return Answer(503, {"error": "vendor_down", "message": "no quotes today"}, {"Retry-After": "60"})


@fault("quote")
def slow(answer: Answer, scene: Scene) -> Response:
    """The quote comes after MOCK_SLOW_S seconds, unless the client gives up before."""
    return odd.Late(answer.to_response(), scene.slow_s)


@fault("quote")
def drip(answer: Answer, _: Scene) -> Response:
    """The quote comes one byte at a time for minutes, so that no read times out."""
    return odd.drip(bytes(answer.to_response().body))


@fault("quote")
def garbage(_: Answer, __: Scene) -> Response:
    """The quote says it is JSON and is not."""
    return Response(b"<html>\xff\xfe 200 OK", media_type="application/json")


@fault("quote")
def huge(_: Answer, __: Scene) -> Response:
    """The quote is a JSON object of 200 MB."""
    return odd.flood()


@fault("quote")
def gzip_bomb(_: Answer, __: Scene) -> Response:
    """The quote is gzipped unasked, and unpacks to 60 MB."""
    return Response(odd.bomb(), 200, {"Content-Encoding": "gzip"}, "application/json")


@fault("quote")
def deep(_: Answer, __: Scene) -> Response:
    """The quote is JSON nested 100,000 deep."""
    return Response(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, media_type="application/json")


@fault("quote")
def redirect(_: Answer, scene: Scene) -> Response:
    """The quote is a 307 to another host, which keeps what is sent to it."""
    return RedirectResponse(scene.lure_url, 307)


@fault("quote")
def redirect_self(_: Answer, __: Scene) -> Response:
    """The quote is a 307 to itself, for ever."""
    return RedirectResponse("/quote", 307)


@fault("quote", Hook.QUOTE)
def overpriced(quote: Quote, _: Scene) -> Quote:
    """The price is a thousand times the right one, in the quote and in the 402."""
    return replace(quote, amount=quote.amount * 1000)


@fault("quote", Hook.QUOTE)
def wrong_payee_in_quote(quote: Quote, _: Scene) -> Quote:
    """The quote and the 402 agree on a payee that is not the vendor's."""
    return replace(quote, pay_to=ATTACKER)


@fault("quote")
def bad_quote(answer: Answer, _: Scene) -> Answer:
    """The quote has fields of the wrong type and a negative price."""
    nonsense = {"priceEstimate": -1.4, "etaMinutes": "soon", "expiresAt": 17, "currency": ["USDC"]}
    return replace(answer, body=answer.body | nonsense)


@fault("quote")
def hostile_refusal(_: Answer, __: Scene) -> Response:
    """No quote, but a 503 whose text holds prompt injections, terminal escapes and markup."""
    return Response(HOSTILE_BYTES, 503)


@fault("quote")
def hostile_quote(answer: Answer, _: Scene) -> Answer:
    """The quote is right, and full of instructions beside what it must say."""
    orders = {"reason": HOSTILE_TEXT, "instructions": HOSTILE_LINES, "$where": "sleep(9999)", "decision": "start_job"}
    return replace(answer, body=answer.body | orders)


@fault("quote")
def hostile_template(answer: Answer, _: Scene) -> Answer:
    """The quote's id is not an id but a text with terminal escapes and markup."""
    return replace(answer, body=answer.body | {"vendorJobTemplateId": HOSTILE_TEXT})
