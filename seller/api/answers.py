"""An answer before it is sent, so that it can be stored, compared and bent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response, StreamingResponse
from x402.http.utils import safe_base64_encode

from seller.runners import FileEntry


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and headers. The same answer is always the same bytes."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def to_response(self) -> Response:
        return Response(json.dumps(self.body), self.status, self.headers, "application/json")


@dataclass(frozen=True)
class FileAnswer:
    """A file on its way out. start: the byte that was asked for, None for all of it. content: from there on."""

    entry: FileEntry
    start: int | None
    content: Iterator[bytes]

    def to_response(self) -> Response:
        first = self.start or 0
        headers = {
            "Content-Length": str(self.entry.bytes - first),
            "Content-Disposition": "attachment",
            "X-Content-Type-Options": "nosniff",
            "Accept-Ranges": "bytes",
            "ETag": f'"{self.entry.sha256}"',
        }
        if self.start is None:
            return StreamingResponse(self.content, 200, headers, "application/octet-stream")
        headers["Content-Range"] = f"bytes {first}-{self.entry.bytes - 1}/{self.entry.bytes}"
        return StreamingResponse(self.content, 206, headers, "application/octet-stream")


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
