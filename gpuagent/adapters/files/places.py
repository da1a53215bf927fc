"""Folders in a bucket that jobs read and write by signed URLs, one object each: the port Depot."""

import secrets
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

HANDED = "handed"
URL_MAX = timedelta(days=7)
"""No signature lives longer, so nothing comes to a folder any more after that."""
FOLDER_BYTES = 16


class S3Places:
    """The part of S3Store that signs. What only that has is used here: the client, and how its errors are explained."""

    _client: Any
    _bucket: str
    _prefix: str

    def new_folder(self) -> str:
        return secrets.token_hex(FOLDER_BYTES)

    def place_url(self, folder: str, name: str, seconds: int, *, write: bool = False) -> str:
        return self._signed("put_object" if write else "get_object", self._place(folder, name), seconds)

    def leave(self, folder: str, name: str, content: bytes) -> None:
        self._write(self._place(folder, name), content)

    def fetch(self, folder: str, name: str, start: int = 0) -> Generator[bytes, None, None]:
        return self._content(self._place(folder, name), start, name)

    def _place(self, folder: str, name: str) -> str:
        return f"{self._prefix}{HANDED}/{folder}/{name}"

    def _signed(self, call: str, key: str, seconds: int) -> str:
        raise NotImplementedError

    def _write(self, key: str, content: bytes) -> None:
        raise NotImplementedError

    def _content(self, key: str, start: int, sha256: str) -> Generator[bytes, None, None]:
        raise NotImplementedError


def folder_moment(moment: datetime) -> datetime:
    """Before when the last of a folder must have come, where at `moment` an upload is given up."""
    return moment - URL_MAX
