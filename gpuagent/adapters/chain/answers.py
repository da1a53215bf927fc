"""HTTP answers of a node: JSON-RPC, an error page instead of it, or a sign that it is busy."""

import re
from dataclasses import dataclass
from typing import Any

from gpuagent.core.text import clean
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import Reply
from gpuagent.wire.retry_after import retry_after_s
from gpuagent.wire.scrub import Scrubber

EXCERPT_MAX = 120
"""Characters of a page, or of JSON that is no answer."""
ERROR_MAX = 300
BUSY_STATUS = (429, 503)
BUSY_CODES = (429, -32007, -32016, -32029)
"""Codes of rate limits in JSON-RPC errors. The standard's -32005 is not among them: many use it for wide questions."""
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. document: the JSON in it, None where there is none."""

    status: int
    document: Any
    excerpt: str
    wait_s: float
    """As the node asks; 0 where it does not."""
    scrubber: Scrubber
    """Takes the keys in the node's URL out of its words."""

    @property
    def entries(self) -> list[Any]:
        """The JSON-RPC responses in it: of a batch each, of a call the only one."""
        return self.document if isinstance(self.document, list) else [self.document]

    @property
    def busy(self) -> bool:
        """Whether the node would answer the same question later."""
        return self.status in BUSY_STATUS or any(_is_busy(entry) for entry in self.entries)

    def result_of(self, number: int) -> dict[str, Any] | None:
        """The response with the result of the call, None where there is none. An error's status makes it no result."""
        if not 200 <= self.status < 300:
            return None
        entries = [entry for entry in self.entries if isinstance(entry, dict) and "result" in entry]
        return next((entry for entry in entries if entry.get("id") == number), None)

    @property
    def problem(self) -> str:
        """What came instead of a result, in words, with the HTTP status."""
        errors = [entry["error"] for entry in self.entries if isinstance(entry, dict) and "error" in entry]
        errors = [error for error in errors if isinstance(error, dict)]  # elsewhere than in JSON-RPC it is a text
        if errors:
            status = "" if self.status == 200 else f" (HTTP {self.status})"
            return f"the chain refused a request{status}: {clean(self.scrubber.scrub(str(errors[0])), ERROR_MAX)}"
        what = self.scrubber.scrub(self.excerpt) or "nothing"
        return f"the chain gave no answer that can be read: HTTP {self.status}, {what}"


def answer_from(reply: Reply) -> Answer:
    try:
        document = strict_json.parse(reply.body)
    except ValueError:
        document = None
    text = reply.body[: 64 * EXCERPT_MAX].decode(errors="replace")
    excerpt = clean(" ".join(_MARKUP.sub(" ", text).split()), EXCERPT_MAX)
    return Answer(reply.status, document, excerpt, retry_after_s(reply.headers), reply.scrubber)


def _is_busy(entry: Any) -> bool:
    error = entry.get("error") if isinstance(entry, dict) else None
    return isinstance(error, dict) and error.get("code") in BUSY_CODES
