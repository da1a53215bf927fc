"""Runs in memory whose jobs come late, and what is bought beside them."""

from dataclasses import replace
from typing import Any

from gpuagent.core.indices import tries_max
from gpuagent.core.model import Hedging, ObservationType, Run
from gpuagent.core.work import JobReport
from gpuagent.tick import tick
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, Workshop, report

AFTER, ETA = 300, 60
"""Seconds after which jobs are hedged here, and in which vendors say that they finish."""


def hangs(_: SoldJob) -> JobReport:
    return report()


def world_of(*, count: int = 1, at_once: int = 1, jobs: int = 6, after: int = AFTER, **sellers: Seller) -> Workshop:
    """jobs: what the budget pays for."""
    world = Workshop({}, **sellers)
    several = {"count": count, "jobs_open_max": at_once, "jobs_max": tries_max(count)}
    world.run = replace(world.run, **several, budget=jobs * HOUR_PRICE, hedging=Hedging(after))
    return world


def until_late(world: Workshop) -> Run:
    """The run at the last second before its job is late."""
    world.ticks(2)
    world.at = 1_000.0 + ETA + AFTER - 1
    tick(world.run.run_id, world.ports)
    assert not hedges(world.run)
    world.at += 3
    return world.run


def hedges(run: Run) -> list[Any]:
    return [job for job in run.jobs if job.quote.hedges]


def reasons(world: Workshop) -> list[str]:
    return [entry.content for entry in world.observations if entry.type is ObservationType.REASONING]
