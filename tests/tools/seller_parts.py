"""A seller that counts what its parts cost: `python -m tests.tools.seller_parts OUT --config SELLER_YAML`.

Its functions are wrapped from outside, as in the campaign. At its end it writes to OUT the milliseconds of CPU time by
part, each without those parts that are within it, and how often each was called.
"""

import functools
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import seller.__main__
import seller.api.app
from seller.database import Database
from seller.payments.node import Node
from seller.payments.till import Till
from seller.runners.process import ProcessRunner

PARTS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("order", seller.api.app, ("submit",)),
    ("verify", Till, ("objection",)),
    ("settle", Till, ("settle",)),
    ("chain", Node, ("_post_once",)),
    ("database", Database, ("keep_quote", "quote", "begin", "finish", "purchase", "job", "job_of_key", "mark_start")),
    ("start", ProcessRunner, ("start",)),
    ("status", seller.api.app, ("look_at_work",)),
)
"""A part, and the functions that are it. What is counted as one is not as another: settle is without the chain."""


class Meter:
    """CPU time by part, of all threads."""

    def __init__(self) -> None:
        self.ms: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._lock, self._here = threading.Lock(), threading.local()

    def wrap(self, part: str, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def measured(*args: Any, **keywords: Any) -> Any:
            within = getattr(self._here, "within", 0.0)
            self._here.within, began = 0.0, time.thread_time()
            try:
                return function(*args, **keywords)
            finally:
                spent = time.thread_time() - began
                with self._lock:
                    self.ms[part] += 1000 * (spent - self._here.within)
                    self.calls[part] += 1
                self._here.within = within + spent

        setattr(owner, name, measured)


def main() -> None:
    out, meter = Path(sys.argv.pop(1)), Meter()
    for part, owner, names in PARTS:
        for name in names:
            meter.wrap(part, owner, name)
    try:
        seller.__main__.main()
    finally:
        out.write_text(json.dumps({"ms": meter.ms, "calls": meter.calls}))


if __name__ == "__main__":
    main()
