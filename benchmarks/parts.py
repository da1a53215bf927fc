"""What a lifecycle's processor time is made of, by the library that spends it: samples of the main thread's stack.

Says where the agent's time beyond its floor goes: the floor signs beforehand, reads no chain and looks at no past jobs.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType

LIFECYCLES = 60
EVERY_S = 0.001
"""Of processor time; the system's own clock may be coarser."""
PARTS = {
    "MongoDB's driver": ("pymongo", "bson"),
    "HTTP": ("httpx", "httpcore", "h11", "/gpuagent/wire/"),
    "signature": ("eth_account", "eth_keys", "coincurve"),
    "threads": ("concurrent", "threading"),
}
"""Each with texts of which the path of a file has one."""
OWN = "rest"


def parts(lifecycle: Callable[[int], None]) -> dict[str, float]:
    """Milliseconds of processor time of one lifecycle, by part: of all threads, by what the main one did meanwhile."""
    samples: Counter[str] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        samples[_part(frame)] += 1

    before, began = signal.signal(signal.SIGPROF, sample), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    try:
        for number in range(LIFECYCLES):
            lifecycle(number)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    used_ms = (time.process_time() - began) * 1000 / LIFECYCLES
    total = samples.total() or 1
    return {name: used_ms * samples[name] / total for name in (*PARTS, OWN)}


def _part(frame: FrameType | None) -> str:
    """The part of the innermost frame that has one, or is this program's own: a transaction calls back into it."""
    while frame is not None:
        file = frame.f_code.co_filename
        part = next((name for name, texts in PARTS.items() if any(text in file for text in texts)), "")
        if part or "/gpuagent/" in file:
            return part or OWN
        frame = frame.f_back
    return OWN
