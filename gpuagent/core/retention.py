"""Which files of finished runs are kept no longer, by the policy's age and total. Pure.

Content is shared between runs by its hash: what a run that is not over may need, or a younger run keeps, stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holding:
    """The files of one run. files: bytes by SHA-256. ended_at: Unix seconds, None while it is not over.

    needs: hashes that its record names and that are never deleted: of a run that is not over, all; else its archive's.
    """

    run_id: str
    ended_at: float | None
    files: Mapping[str, int]
    needs: frozenset[str] = frozenset()


def expired(
    holdings: Iterable[Holding], now: float, keep_s: float | None, keep_max: int | None
) -> dict[str, dict[str, int]]:
    """The files to delete, bytes by SHA-256, by run.

    From the youngest run on, files are kept as long as they are young enough and all fit in keep_max bytes; where a run
    does not fit, it and all older ones go.
    """
    holdings = list(holdings)
    sizes = {sha256: size for holding in holdings for sha256, size in holding.files.items()}
    needed = {sha256 for holding in holdings for sha256 in holding.needs}
    needed |= {sha256 for holding in holdings if holding.ended_at is None for sha256 in holding.files}
    total = sum(sizes.get(sha256, 0) for sha256 in needed)
    ended = [(holding.ended_at, holding) for holding in holdings if holding.ended_at is not None]
    over = []
    full = False
    for ended_at, holding in sorted(ended, key=lambda pair: pair[0], reverse=True):
        more = sum(size for sha256, size in holding.files.items() if sha256 not in needed)
        full = full or (keep_max is not None and total + more > keep_max)
        if full or (keep_s is not None and now - ended_at > keep_s):
            over.append(holding)
        else:
            needed |= holding.files.keys()
            total += more
    files = {
        holding.run_id: {sha256: size for sha256, size in holding.files.items() if sha256 not in needed}
        for holding in over
    }
    return {run_id: gone for run_id, gone in files.items() if gone}
