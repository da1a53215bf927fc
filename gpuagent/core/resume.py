"""The rest of a run's work: how many hours the next job is to buy, and from which checkpoint it goes on. Pure."""

import json
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from gpuagent.core.indices import of_index, unbought
from gpuagent.core.model import HOURS_MIN, Quote, Reserved, Run
from gpuagent.core.orders import ORDER_MAX, order_text
from gpuagent.core.work import Checkpoint, Failed, Fault

MINUTE_HOURS = Decimal("0.02")
"""A minute, in the hundredths of an hour that are bought: the least that a resumed job is given."""
NESTED_MAX = 50
"""Brackets in a program's word of its progress: thousands of them would overflow the stack of a parser."""


@dataclass(frozen=True, slots=True)
class Remainder:
    """The work that is left. hours: GPU hours; checkpoint: None begins anew."""

    hours: Decimal
    checkpoint: Checkpoint | None = None


def remainder(run: Run, index: int = 0) -> Remainder:
    """The work that the next job of an index has to do: the whole of it, or what its newest usable checkpoint leaves.

    A checkpoint is of its index alone.
    """
    led_nowhere, own = spoiled(run, index), of_index(run, index)
    checkpoints = [checkpoint for checkpoint in _checkpoints(own) if checkpoint.sha256 not in led_nowhere]
    newest = max(checkpoints, key=lambda checkpoint: checkpoint.at, default=None)
    # An order that is too long to be sent would keep the run from every vendor.
    if (
        not run.workload
        or newest is None
        or len(order_text(run.workload, newest, index, run.count).encode()) > ORDER_MAX
    ):
        return Remainder(run.max_hours)
    return Remainder(hours_left(run.max_hours, newest.fraction), newest)


def rest_hours(run: Run, index: int) -> Decimal:
    """The hours that are still to be bought beside those of an index: of each that is missing and has no open job."""
    rest = set(unbought(run)) - {index}
    resumed = [remainder(run, number).hours for number in rest & with_checkpoints(run)]
    return sum(resumed, run.max_hours * (len(rest) - len(resumed)))


def with_checkpoints(run: Run) -> frozenset[int]:
    """The indices that have a checkpoint to go on from, or one that led nowhere."""
    return frozenset(
        job.quote.index
        for job in run.jobs
        if not isinstance(job, Reserved) and job.checkpoint and isinstance(job.work, Failed)
    )


def hours_left(hours: Decimal, fraction: float | None) -> Decimal:
    """What a checkpoint leaves of the hours, in hundredths, rounded up; at least a minute, never more than all."""
    if fraction is None:
        return hours
    share = Decimal(1) - min(max(Decimal(str(fraction)), Decimal(0)), Decimal(1))
    rest = (hours * share).quantize(HOURS_MIN, ROUND_CEILING)
    return min(max(rest, MINUTE_HOURS), hours)


def resumed_from(quote: Quote) -> str:
    """The SHA-256 of the checkpoint's manifest from which the order goes on, "" for one that begins anew."""
    return str(json.loads(quote.order).get("resume", {}).get("sha256", "")) if quote.order else ""


def spoiled(run: Run, index: int = 0) -> frozenset[str]:
    """The checkpoints of an index that led nowhere: a job went on from one, its program or its time ended, and it kept
    none newer.

    A vendor may leave a checkpoint on which every program fails, or whose word of how far it reaches is wrong.
    """
    return frozenset(
        resumed_from(job.quote)
        for job in of_index(run, index).jobs
        if not isinstance(job, Reserved)
        and isinstance(job.work, Failed)
        and (job.work.exit_code is not None or job.work.fault is Fault.TIME)
        and (job.checkpoint is None or job.checkpoint.sha256 == resumed_from(job.quote))
    ) - {""}


def read_fraction(content: bytes) -> float | None:
    """The program's own word, from 0 to 1; None where it gives no number."""
    if content.count(b"[") + content.count(b"{") > NESTED_MAX:
        return None
    try:
        fraction = json.loads(content, parse_constant=lambda _: None)["fraction"]
        value = float(fraction) if isinstance(fraction, int | float) and not isinstance(fraction, bool) else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return None if value is None else min(max(value, 0.0), 1.0)


def _checkpoints(run: Run) -> list[Checkpoint]:
    """The checkpoints of the jobs that have failed: what a job that goes on leaves is its own."""
    return [
        job.checkpoint
        for job in run.jobs
        if not isinstance(job, Reserved) and isinstance(job.work, Failed) and job.checkpoint
    ]
