"""The values of secrets, from the paid order until its job has them: in memory, and in no file that has a name."""

import json
import os
import threading
from collections.abc import Mapping
from typing import Protocol

from seller.locks import Lock, Numbers

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

    They are in anonymous memory, as two copies: a kill in the middle of a writing leaves the other. Linux alone has it.
    """

    def __init__(self, lock: Lock) -> None:
        """lock: with one number, which says which copy counts."""
        self._lock = lock
        self._copies = (os.memfd_create("secrets"), os.memfd_create("secrets"))

    def close(self) -> None:
        for memory in self._copies:
            os.close(memory)

    def put(self, vendor_id: str, key: str, secrets: Secrets) -> None:
        with self._lock.hold() as valid:
            self._write(self._read(valid) | {_name(vendor_id, key): dict(secrets)}, valid)

    def get(self, vendor_id: str, key: str) -> Secrets:
        with self._lock.hold() as valid:
            return self._read(valid).get(_name(vendor_id, key), NONE)

    def drop(self, vendor_id: str, key: str) -> None:
        with self._lock.hold() as valid:
            secrets = self._read(valid)
            if secrets.pop(_name(vendor_id, key), None) is not None:
                self._write(secrets, valid)

    def _read(self, valid: Numbers) -> dict[str, Secrets]:
        copy = self._copies[valid[0]]
        size = os.fstat(copy).st_size
        return dict(json.loads(os.pread(copy, size, 0))) if size else {}

    def _write(self, secrets: Mapping[str, Secrets], valid: Numbers) -> None:
        content, position, copy = json.dumps(secrets).encode(), 0, self._copies[1 - valid[0]]
        os.ftruncate(copy, 0)
        while position < len(content):
            position += os.pwrite(copy, content[position:], position)
        valid[0] = 1 - valid[0]
        os.ftruncate(self._copies[1 - valid[0]], 0)


def _name(vendor_id: str, key: str) -> str:
    return json.dumps([vendor_id, key])
