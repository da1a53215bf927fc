"""Decompression of bodies that a server compressed unasked, up to a cap, so that no zip bomb is unpacked."""

import zlib

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class CompressionError(ValueError):
    """A body that cannot be unpacked here, in words that go behind "answered"."""


class BodyTooLarge(CompressionError):
    """More bytes than the cap, before or after they are unpacked."""


class Unpacker:
    """Unpacks one body, fed piece by piece. encoding: its Content-Encoding; "" or identity passes bytes through.

    size_max: bytes that may go in, and that may come out. Raises CompressionError for an encoding that is not known
    and for what is not of it, BodyTooLarge beyond the cap.
    """

    def __init__(self, encoding: str, size_max: int) -> None:
        self._encoding = encoding.strip().lower()
        self._size_max, self._size_in, self._size = size_max, 0, 0
        self._inflater: zlib._Decompress | None = None
        if self._encoding in ("", "identity"):
            return
        if self._encoding not in _WINDOWS:
            raise CompressionError(f"compressed ({self._encoding[:30]}), though it was asked not to")
        self._inflater = zlib.decompressobj(_WINDOWS[self._encoding])

    def feed(self, piece: bytes) -> bytes:
        """The bytes that the piece unpacks to."""
        unpacked = self._inflated(piece) if self._inflater else piece
        self._size_in += len(piece)
        self._size += len(unpacked)
        if max(self._size_in, self._size) > self._size_max:
            raise BodyTooLarge(f"with more than {self._size_max} bytes")
        return unpacked

    def finish(self) -> None:
        """Raises CompressionError when the body broke off in the middle."""
        if self._inflater and self._size_in and not self._inflater.eof:
            raise CompressionError(f"compressed ({self._encoding}), and the end is missing")

    def _inflated(self, piece: bytes) -> bytes:
        assert self._inflater
        room = self._size_max - self._size + 1
        try:
            return self._inflater.decompress(piece, room)
        except zlib.error as error:
            if self._encoding == "deflate" and not self._size:
                # Some servers send deflate without the zlib header that RFC 9110 asks for.
                self._encoding, self._inflater = "raw deflate", zlib.decompressobj(-zlib.MAX_WBITS)
                return self._inflated(piece)
            raise CompressionError(f"compressed ({self._encoding}), and not soundly: {error}") from error
