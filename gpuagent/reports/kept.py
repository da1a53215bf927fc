"""What is kept in the database and read again: with a format, and a hash by which a part of it is not believed."""

import json
import zlib
from hashlib import sha256
from typing import Any


def packed(content: Any, form: int) -> bytes:
    """The content, of what JSON has. form: the number of its format."""
    text = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)
    return _head(text, form) + text


def unpacked(kept: bytes, form: int) -> Any:
    """The content; None for one of another format, or of which only a part was written."""
    head = len(_head(b"", form))
    return json.loads(zlib.decompress(kept[head:])) if kept[:head] == _head(kept[head:], form) else None


def _head(text: bytes, form: int) -> bytes:
    return f"{form}:{sha256(text).hexdigest()}:".encode()
