"""What is kept in the database and read again: with a format, and a hash by which a part of it is not believed."""

import json
import zlib
from hashlib import sha256
from typing import Any


def packed(content: Any, form: int, numbers: bytes = b"") -> bytes:
    """The content, of what JSON has, and numbers as they are. form: the number of its format."""
    body = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1) + numbers
    return _head(body, form) + body


def unpacked(content: bytes, form: int) -> Any:
    """The content; None for one of another format, or of which only a part was written."""
    parts = unpacked_parts(content, form)
    return parts and parts[0]


def unpacked_parts(content: bytes, form: int) -> tuple[Any, bytes] | None:
    """The same beside its numbers."""
    length = len(_head(b"", form))
    head, body = content[:length], content[length:]
    if not head.startswith(f"{form}:".encode()) or head != _head(body, form):
        return None
    text = zlib.decompressobj()
    return json.loads(text.decompress(body)), text.unused_data


def _head(body: bytes, form: int) -> bytes:
    return f"{form}:{sha256(body).hexdigest()}:".encode()
