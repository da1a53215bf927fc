"""Secrets scrubbed from untrusted text: whoever receives a token can send it back in any spelling.

Text is compared without regard to case, blanks and escapes (JSON, percent, HTML, Python); a secret counts in plain, in
base64 at any alignment and in hex, and in part where the text was cut or split. What does not fit any secret that was
sent is still recognised by its shape, where it has one: signatures, payments, bearer tokens, JWTs, users in URLs.
"""

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from gpuagent.core.text import SECRET_MIN

PART_MAX = 16
"""Characters: as long a part of a secret is taken out; of one shorter than 24 two thirds of it."""
LONG = 256
"""A secret of this length, such as a signed payment, is looked for as it was sent, and in parts twice as long."""
BLOCK_MAX = 8
"""Characters: all that is looked for is looked for by blocks of one length, where it is long enough."""
SHAPE_MIN = 7
"""Characters: shorter is nothing that has a secret's shape, not even a user with a password in a URL."""
MANY = 200
"""Of more blocks, such as a few signed payments have, not each is looked for in a text, but its parts in them."""
TOKEN, PAYMENT, KEY, SECRET = "[token]", "[payment]", "[key]", "[secret]"
"""Words in a secret's place."""

_BLANKS = re.compile(r"[\s\\\x00-\x1f\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_ESCAPED = re.compile(
    r"\\+u([0-9a-fA-F]{4})|\\+x([0-9a-fA-F]{2})|%(?:25)*([0-9a-fA-F]{2})|&#x([0-9a-fA-F]{1,5});|&#([0-9]{1,6});"
)
_ESCAPE_MARKS = "\\%&"
_SHAPES = (
    (re.compile(r"eyJ4NDAyVmVyc2lvbi[A-Za-z0-9+/=_-]{8,}"), PAYMENT),
    (re.compile(r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{128,}"), "[signature]"),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}", re.ASCII), TOKEN),
    (re.compile(r"(?<=\bbearer )(?=\S*\d)[\w.~+/=-]{8,}", re.ASCII | re.IGNORECASE), TOKEN),
    (re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)"), KEY),
)


class Scrubber:
    """Takes secrets out of texts. secrets: each with what stands in its place; those below SECRET_MIN are left out."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        # The longest first: of one that begins with another, no rest stays.
        longest_first = sorted(secrets.items(), key=lambda item: -len(item[0]))
        self._secrets = {secret: label for secret, label in longest_first if len(secret) >= SECRET_MIN}

    @cached_property
    def _forms(self) -> "tuple[_Form, ...]":
        return tuple(form for secret, label in self._secrets.items() for form in _all_forms(secret, label))

    @cached_property
    def _blocks(self) -> dict[int, frozenset[str]]:
        """The blocks of all forms, by their length."""
        return _united([_blocks_of(secret, label) for secret, label in self._secrets.items()])

    def scrub(self, text: str) -> str:
        """The text for users, without any secret or long part of one, whatever its spelling."""
        return without_shapes(self.scrub_words(text))

    def scrub_words(self, text: str) -> str:
        """As scrub(), but text that only has the shape of a secret stays: a link may hold the key to what it opens."""
        return self._without_parts(text) if self._may_hold(text) else text

    def scrub_lines(self, lines: Sequence[str]) -> tuple[str, ...]:
        """Each line as by scrub()."""
        # One look at all of them: there may be thousands.
        return tuple(map(self.scrub if self._may_hold("\n".join(lines)) else without_shapes, lines))

    def scrub_value(self, value: Any) -> Any:
        """The JSON value with every whole secret taken out of its texts: a name that shares a part of one stays."""
        match value:
            case str():
                for secret, label in self._secrets.items():
                    value = value.replace(secret, label)
                return value
            case list():
                return [self.scrub_value(item) for item in value]
            case dict():
                return {self.scrub_value(key): self.scrub_value(item) for key, item in value.items()}
        return value

    def _may_hold(self, text: str) -> bool:
        folded = _fold(text)
        return any(_holds_any(folded, size, blocks) for size, blocks in self._blocks.items())

    def _without_parts(self, text: str) -> str:
        characters = list(_characters(text))
        folded = "".join(character for character, _, _ in characters)
        spans = sorted(
            (characters[start][1], characters[end - 1][2], form.label)
            for form in self._forms
            for start, end in form.runs(folded)
        )
        parts, position = [], 0
        for start, end, label in spans:
            if start >= position:
                parts += [text[position:start], label]
            position = max(position, end)
        return "".join([*parts, text[position:]])


@dataclass(frozen=True, slots=True, init=False, repr=False)
class _Form:
    """One spelling of a secret, folded. part: as many characters in a row are taken out. blocks: a part holds one."""

    text: str
    label: str
    part: int
    blocks: dict[str, int]

    def __init__(self, text: str, label: str) -> None:
        part = 2 * PART_MAX if len(text) >= LONG else min(PART_MAX, max(SECRET_MIN, len(text) * 2 // 3), len(text))
        size = min((part + 1) // 2, BLOCK_MAX)
        starts = [*range(0, len(text) - size, part - size + 1), len(text) - size]
        for name, value in (
            ("text", text),
            ("label", label),
            ("part", part),
            ("blocks", {text[start : start + size]: start for start in reversed(starts)}),
        ):
            object.__setattr__(self, name, value)

    def runs(self, folded: str) -> Iterator[tuple[int, int]]:
        """The places in a folded text, start and end, that are the form or a long part of it."""
        for block, offset in self.blocks.items():
            place = folded.find(block)
            while place >= 0:
                start, end, first, last = place, place + len(block), offset, offset + len(block)
                while start and first and folded[start - 1] == self.text[first - 1]:
                    start, first = start - 1, first - 1
                while end < len(folded) and last < len(self.text) and folded[end] == self.text[last]:
                    end, last = end + 1, last + 1
                if end - start >= self.part:
                    yield start, end
                place = folded.find(block, place + 1)


@lru_cache(maxsize=256)
def _all_forms(secret: str, label: str) -> tuple[_Form, ...]:
    # Kept, because a scrubber is made anew for each secret that is sent, and they take longer to make than to use.
    return tuple(_Form(form, label) for form in _forms(secret))


@lru_cache(maxsize=256)
def _blocks_of(secret: str, label: str) -> dict[int, frozenset[str]]:
    blocks: defaultdict[int, set[str]] = defaultdict(set)
    for form in _all_forms(secret, label):
        blocks[len(next(iter(form.blocks)))].update(form.blocks)
    return {size: frozenset(same_size) for size, same_size in blocks.items()}


def _united(parts: Sequence[Mapping[int, frozenset[str]]]) -> dict[int, frozenset[str]]:
    """All blocks of some parts, by their length."""
    sizes = {size for part in parts for size in part}
    return {size: frozenset().union(*(part[size] for part in parts if size in part)) for size in sizes}


def _holds_any(folded: str, size: int, blocks: frozenset[str]) -> bool:
    """Whether the text holds one of the blocks, which have this length."""
    places = len(folded) - size + 1
    if places < len(blocks) or len(blocks) > MANY:
        return not blocks.isdisjoint(folded[place : place + size] for place in range(places))
    return any(block in folded for block in blocks)


def without_shapes(text: str) -> str:
    """The text without what has the shape of a secret, whosever it is."""
    if len(text) < SHAPE_MIN:
        return text
    for shape, label in _SHAPES:
        text = shape.sub(label, text)
    return text


def _forms(secret: str) -> set[str]:
    """The spellings of a secret, folded. Of base64 the characters that depend on the neighbours are left out."""
    if len(secret) >= LONG:
        return {_fold(secret)}
    data = secret.encode(errors="surrogateescape")
    forms = [secret, quote(secret, safe="", errors="replace"), data.hex()]
    for offset in range(3):
        encoded = b64encode(bytes(offset) + data).decode()
        whole = encoded[(0, 2, 3)[offset] : (len(data) + offset) * 8 // 6]
        forms += [whole, whole.translate(str.maketrans("+/", "-_"))]
    return {folded for form in forms if len(folded := _fold(form)) >= SECRET_MIN}


def _fold(text: str) -> str:
    """The text without escapes and blanks, in lower case."""
    if any(mark in text for mark in _ESCAPE_MARKS):
        text = _ESCAPED.sub(_unescaped, text)
    return _BLANKS.sub("", text).lower()


def _unescaped(escaped: re.Match[str]) -> str:
    assert escaped.lastindex
    return chr(int(escaped[escaped.lastindex], 10 if escaped.lastindex == 5 else 16))


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    """The characters of _fold(), each with the place in the text that it stands for."""
    breaks = [0]
    for escaped in _ESCAPED.finditer(text):
        breaks += [escaped.start(), escaped.end()]
    for number, (start, end) in enumerate(pairwise([*breaks, len(text)])):
        step = end - start if number % 2 else 1
        for place in range(start, end, step or 1):
            for character in _fold(text[place : place + step]):
                yield character, place, place + step
