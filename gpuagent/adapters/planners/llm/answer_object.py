"""The JSON object in the final text of a model's reply: among prose, trailing commas forgiven."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gpuagent.wire import strict_json

OBJECTS_MAX = 50
"""Opening braces that are tried. Each may be read to the end of the text. A text with more has no plain answer."""

_STRING = r'"(?:[^"\\]|\\.)*+"?'  # one that is cut off runs to the end, or each quote in it would be tried anew
_TOKENS = re.compile(rf"{_STRING}|[{{}}]", re.DOTALL)
_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)


class AnswerInvalid(ValueError):
    """No decision can be read from the reply. The text is fit to be quoted to the model."""


def answer_object(text: str, repairs: list[str]) -> Mapping[str, Any]:
    """The one JSON object that answers. Text around it is dropped; two different answers are none."""
    if not text.strip():
        raise AnswerInvalid("the answer is empty")
    notes: list[str] = []
    whole = parsed(text, notes)
    if isinstance(whole, Mapping):
        repairs += notes
        return whole
    candidates: list[tuple[Mapping[str, Any], list[str]]] = []
    for span in _spans(text):
        notes = []
        value = parsed(span, notes)
        if (
            isinstance(value, Mapping)
            and "action" in map(bare, value)
            and all(value != candidate for candidate, _ in candidates)
        ):
            candidates.append((value, notes))
    if len(candidates) > 1:
        raise AnswerInvalid(f"{len(candidates)} different answers were given")
    if not candidates:
        raise AnswerInvalid("there is no complete JSON object with an action in it")
    value, notes = candidates[0]
    repairs += notes
    if text.strip()[:1] + text.strip()[-1:] != "{}":
        repairs.append("text around the JSON")
    return value


def bare(name: str) -> str:
    """A field's name without case, blanks and separators."""
    return re.sub(r"[\s_-]", "", name).lower()


def parsed(text: str, notes: list[str]) -> Any:
    """The JSON value, trailing commas forgiven; None when it is none."""
    for note, attempt in (("", text), ("trailing comma", _COMMAS.sub(r"\1", text))):
        try:
            value = strict_json.parse(attempt.encode(), once=True)
        except strict_json.RepeatedName as error:
            raise AnswerInvalid(str(error)) from None  # one of two answers, and nothing says which
        except ValueError:
            continue
        notes += [note] if note else []
        return value
    return None


def _spans(text: str) -> Iterator[str]:
    """Balanced outermost objects, braces in strings not counted."""
    start = text.find("{")
    for _ in range(OBJECTS_MAX):
        if start < 0:
            return
        end = _end(text, start)
        if end:
            yield text[start:end]
        start = text.find("{", end or start + 1)
    if start >= 0:
        raise AnswerInvalid(f"it holds more than {OBJECTS_MAX} braces: answer with one JSON object and nothing else")


def _end(text: str, start: int) -> int:
    """Behind the brace that closes the one at start; 0 when none does."""
    depth = 0
    for token in _TOKENS.finditer(text, start):
        depth += (token[0] == "{") - (token[0] == "}")
        if depth == 0:
            return token.end()
    return 0
