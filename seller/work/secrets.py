"""The values of secrets, from the paid order until its job has them: in memory, and in no file that has a name."""

import json
import os
import threading
from collections.abc import Mapping
from typing import Protocol

from seller.locks import LockedContent

Secrets = Mapping[str, str]
NONE: Secrets = {}


class SecretsStore(Protocol):
    """Secrets by the vendor and the key of their order. Safe from any thread."""

    def put(self, vendor_id: str, key: str, secrets: Secrets) -> None: ...

    def get(self, vendor_id: str, key: str) -> Secrets:
        """Those of an order; none where they are not here."""
        ...

    def drop(self, vendor_id: str, key: str) -> None: ...


class OwnSecrets:
    """The secrets of one process."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], Secrets] = {}
        self._lock = threading.Lock()

    def put(self, vendor_id: str, key: str, secrets: Secrets) -> None:
        with self._lock:
            self._secrets[vendor_id, key] = secrets

    def get(self, vendor_id: str, key: str) -> Secrets:
        return self._secrets.get((vendor_id, key), NONE)

    def drop(self, vendor_id: str, key: str) -> None:
        with self._lock:
            self._secrets.pop((vendor_id, key), None)


class SharedSecrets:
    """The secrets of a process and of those that it forks: one that is killed loses none, and the last takes them away.

    They are in anonymous memory, as two copies of which one counts: a kill in the middle of a writing leaves the other.
    Linux alone has such memory.
    """

    def __init__(self, lock: LockedContent) -> None:
        self._lock = lock
        self._copies = (os.memfd_create("secrets"), os.memfd_create("secrets"))
        self._valid = os.memfd_create("valid")

    def close(self) -> None:
        for memory in (*self._copies, self._valid):
            os.close(memory)

    def put(self, vendor_id: str, key: str, secrets: Secrets) -> None:
        with self._lock.hold():
            self._write(self._read() | {_name(vendor_id, key): dict(secrets)})

    def get(self, vendor_id: str, key: str) -> Secrets:
        with self._lock.hold():
            return self._read().get(_name(vendor_id, key), NONE)

    def drop(self, vendor_id: str, key: str) -> None:
        with self._lock.hold():
            secrets = self._read()
            if secrets.pop(_name(vendor_id, key), None) is not None:
                self._write(secrets)

    def _read(self) -> dict[str, Secrets]:
        copy = self._copies[self._valid_copy()]
        size = os.fstat(copy).st_size
        return dict(json.loads(os.pread(copy, size, 0))) if size else {}

    def _write(self, secrets: Mapping[str, Secrets]) -> None:
        valid = self._valid_copy()
        content, position, copy = json.dumps(secrets).encode(), 0, self._copies[1 - valid]
        os.ftruncate(copy, 0)
        while position < len(content):
            position += os.pwrite(copy, content[position:], position)
        os.pwrite(self._valid, bytes([1 - valid]), 0)
        os.ftruncate(self._copies[valid], 0)

    def _valid_copy(self) -> int:
        valid = os.pread(self._valid, 1, 0)
        return valid[0] if valid else 0


def _name(vendor_id: str, key: str) -> str:
    return json.dumps([vendor_id, key])
