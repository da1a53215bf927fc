"""The folder of a seller: of one process at a time, and for ever of one vendor, on one network, paid in one token.

What was sold is decided by the chain that it was sold on: on another, a payment would look as if it never came.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from seller.errors import BadSetting
from seller.folders import kept_text

DATABASE = "seller.sqlite3"
DRAIN = "drain"
"""The file that has a seller sell nothing more, and end when all is done."""
DYING_S, LOOK_S = 1.0, 0.02
"""How long the worker processes of a seller that was killed may take to die, and between two looks."""
NAMES = {"vendorId": "vendor_id", "network": "network", "asset": "token.address"}
"""Of the settings, by the field."""


@contextmanager
def owned(folder: Path, vendor_id: str, network: str, asset: str) -> Iterator[None]:
    """Holds the folder while the block runs, and while a process lives that was forked in it.

    Raises BadSetting where another seller holds it, or it is another seller's.
    """
    with (folder / "lock").open("a") as lock:
        ends_at = time.monotonic() + DYING_S
        while not _is_ours(lock):
            if time.monotonic() > ends_at:
                raise BadSetting(f"folder: another seller runs in {folder}: stop it, or choose another folder")
            time.sleep(LOOK_S)
        _check_identity(folder / "seller.json", {"vendorId": vendor_id, "network": network, "asset": asset})
        yield


def _is_ours(lock: TextIO) -> bool:
    """Whether the lock was free, and is held from here on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_identity(path: Path, identity: dict[str, str]) -> None:
    sold_as = json.loads(kept_text(path, json.dumps(identity)))
    for field, value in identity.items():
        if sold_as.get(field) != value:
            raise BadSetting(
                f"folder: the seller in {path.parent} sells with {field} {sold_as.get(field)}, and not {value}: "
                f"write {NAMES[field]}: {sold_as.get(field)}, or choose another folder"
            )
