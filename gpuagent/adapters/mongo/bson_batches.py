"""Batches of undecoded BSON documents, and the offset of each; bson_columns.py decodes them."""

from dataclasses import dataclass, field
from struct import Struct

from bson import Timestamp

from gpuagent.errors import StoreError

DOUBLE, STRING, DOCUMENT, ARRAY, OBJECT_ID, BOOLEAN, DATE, NULL = 0x01, 0x02, 0x03, 0x04, 0x07, 0x08, 0x09, 0x0A
INT32, TIMESTAMP, INT64, DECIMAL128 = 0x10, 0x11, 0x12, 0x13
FIXED = {DOUBLE: 8, OBJECT_ID: 12, BOOLEAN: 1, DATE: 8, NULL: 0, INT32: 4, TIMESTAMP: 8, INT64: 8, DECIMAL128: 16}
"""Types of values that have one length, and this in bytes."""

_SIZE = Struct("<i").unpack_from
_TIMESTAMP = Struct("<II").unpack_from


@dataclass
class Batches:
    """Documents of one answer after the other. data: arrays of them; starts: where each document begins in these.

    read_at: the moment that they are of, None where the server does not say it.
    """

    data: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    read_at: Timestamp | None = None

    def add(self, cursor: memoryview) -> int:
        """Add the batch of an answer's cursor. Returns the cursor's id, 0 for one that is at its end."""
        position, cursor_id = 4, 0
        while cursor[position]:
            kind = cursor[position]
            name, position = name_at(cursor, position + 1)
            if kind == ARRAY and name in (b"firstBatch", b"nextBatch"):
                self._add_documents(cursor, position)
            elif kind == INT64 and name == b"id":
                cursor_id = int.from_bytes(cursor[position : position + 8], "little")
            elif kind == TIMESTAMP and name == b"atClusterTime":
                increment, seconds = _TIMESTAMP(cursor, position)
                self.read_at = Timestamp(seconds, increment)
            position += length_at(kind, cursor, position)
        return cursor_id

    def _add_documents(self, cursor: memoryview, position: int) -> None:
        size: int = _SIZE(cursor, position)[0]
        start = len(self.data)
        self.data += cursor[position : position + size]
        data, end, size_at, add = self.data, start + size - 1, _SIZE, self.starts.append
        position, head, place, more_digits = start + 4, 3, 0, 10
        while position < end:
            if place == more_digits:
                head, more_digits = head + 1, more_digits * 10
            position += head  # a type, the place as text, a zero byte
            add(position)
            position += size_at(data, position)[0]
            place += 1


def name_at(data: memoryview, position: int) -> tuple[bytes, int]:
    """The name that begins here, and where its value does."""
    end = position
    while data[end]:
        end += 1
    return bytes(data[position:end]), end + 1


def length_at(kind: int, data: memoryview, position: int) -> int:
    """The bytes of a value of this type that begins here. Raises StoreError."""
    if kind in FIXED:
        return FIXED[kind]
    size = int.from_bytes(data[position : position + 4], "little")
    if kind == STRING:
        return size + 4
    if kind in (DOCUMENT, ARRAY):
        return size
    raise unusable(kind)


def unusable(kind: int) -> StoreError:
    """The error for a value of a type that no column is made of."""
    return StoreError(f"a field has the BSON type {kind:#x}, which no column is made of")
