"""The size of a run's record, by which no further job is begun before it grows too large to be read. Pure.

MongoDB reads a run with its jobs and payments as one document of at most 16 MB. What a vendor may write into a job is
bounded, but not so low that hundreds of jobs of hostile vendors fit; those that are open may still grow by it.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from gpuagent.core.model import Job, Reserved, Run

RECORD_MAX = 10_000_000
"""Bytes after which no further job is begun: below 16 MB by more than what open jobs may still be told."""
NAMES_BYTES = 2_500
"""Bytes of the names, ids and numbers that the record of any job and its payment has."""
VALUE_BYTES = 24
"""Bytes of a value that is no text, and of the name or place of any."""
COPIES = 2
"""How often the record holds what came of a job's work beside where it stands now: states leave their fields."""


def record_bytes(run: Run) -> int:
    """The bytes of the run's record, about, and rather too many than too few."""
    return len(run.workload.encode()) + sum(map(_job_bytes, run.jobs))


def too_large(run: Run) -> str:
    """Why no further job of the run is begun, "" while its record has room for one."""
    size = record_bytes(run)
    if size < RECORD_MAX:
        return ""
    return (
        f"the record of this run has {size:,} bytes, most of them what vendors said of its {len(run.jobs)} jobs, "
        f"and no job is begun from {RECORD_MAX:,} on: start another run for the rest"
    )


def _job_bytes(job: Job) -> int:
    work = None if isinstance(job, Reserved) else job.work
    return NAMES_BYTES + _bytes(job) + COPIES * _bytes(work)


def _bytes(value: object) -> int:
    if isinstance(value, str):
        return VALUE_BYTES + (len(value) if value.isascii() else len(value.encode(errors="replace")))
    if isinstance(value, Mapping):
        return VALUE_BYTES + sum(_bytes(name) + _bytes(member) for name, member in value.items())
    if isinstance(value, tuple | list):
        return VALUE_BYTES + sum(map(_bytes, value))
    kind: Any = type(value)
    return VALUE_BYTES + sum(_bytes(getattr(value, name)) for name in _names(kind))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
