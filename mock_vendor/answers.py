"""An answer before it is sent, so that it can be stored, compared and bent."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response
from x402.http.utils import safe_base64_encode


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and headers. The same answer is always the same bytes."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def to_response(self) -> Response:
        return Response(json.dumps(self.body), self.status, self.headers, "application/json")


def unsettled(answer: Answer) -> Answer:
    """The 402 of an x402 server whose facilitator gave no answer: a receipt of failure, without a transaction."""
    receipt = {"success": False, "transaction": "", "errorReason": "", "network": answer.body["accepts"][0]["network"]}
    return replace(answer, headers=answer.headers | {"PAYMENT-RESPONSE": safe_base64_encode(json.dumps(receipt))})


class Refusal(Exception):
    """An error that answers the request: {"error": code, "message": text}."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.answer = Answer(status, {"error": code, "message": message}, headers)
