"""Vendors that take their time to answer: a tick is held up for a bound in all, and who was not reached comes first."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gpuagent.core.model import Reserved, Run, Settled, Submitted, Vendor
from gpuagent.core.pace import Pace
from gpuagent.core.policy import Policy
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Open
from gpuagent.core.ports.store import Standing
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.transitions import apply
from gpuagent.core.work import JobReport, JobStatus, Owed, Underway
from gpuagent.errors import VendorError
from gpuagent.tick import step, tick
from tests.conftest import DATABASE
from tests.support.factories import NOW, RUN, SETTLEMENT, VENDOR, authorization, quote
from tests.support.run_states import payment_authorized, vendor_chosen
from tests.support.world import World

JOBS = [f"{number}" * 24 for number in range(8)]
SIGNED = "f" * 24


@dataclass
class Shop:
    """One agent whose ports are all this: a store of one run, a chain that decides nothing, a vendor that is slow."""

    run: Run
    answer_s: float
    failing: bool = False
    at: float = NOW
    saves: int = 0
    calls: list[str] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def load(self, _: str) -> Run:
        return self.run

    def standing(self, _: str) -> Standing:
        return Standing(self.run, self.at, Policy, self.vendors)

    def save(self, before: Run, after: Run, *_: Any) -> Run:
        assert before == self.run
        self.run, self.saves = replace(after, version=before.version + 1), self.saves + 1
        return self.run

    def vendors(self) -> tuple[Vendor, ...]:
        return (VENDOR,)

    def outcome(self, *_: object) -> Open:
        self.calls.append(SIGNED)
        return Open(2**40, used=True)

    def submit(self, _: Vendor, job: Settled) -> Submitted:
        self._answer(job.job_id)
        return Submitted(f"job-{job.job_id}")

    def status(self, _: Vendor, job: VendorJob, *__: object) -> JobReport:
        self._answer(job.job_id.removeprefix("job-"))
        return JobReport(JobStatus.RUNNING, 0.0, (), {}, "", "")

    def _answer(self, job_id: str) -> None:
        self.calls.append(job_id)
        self.at += self.answer_s
        if self.failing:
            raise VendorError("timed out")

    def tick(self, by: Any = tick) -> list[str]:
        """What one tick asked, in order; how long it was held up by it is bounded."""
        self.calls.clear()
        began, pace = self.at, Pace(asking_s=20)
        own: Any = self
        by(self.run.run_id, Ports(own, {}, own, own, own, own, own, pace))
        assert abs(self.at - began) < pace.asking_s + max(abs(self.answer_s), 1)
        return list(self.calls)


def paid_run(work: Any) -> Run:
    """Eight paid jobs, and after them one that is signed only."""
    jobs = [Settled(job_id, quote(), NOW, authorization(), "header", SETTLEMENT, work(job_id)) for job_id in JOBS]
    run = replace(RUN, budget=100_000_000, jobs=tuple(jobs), jobs_open_max=9)
    return apply(apply(run, vendor_chosen(SIGNED, 1_000_000)), payment_authorized(SIGNED, 1_000_000))


def underway(job_id: str) -> Underway:
    return Underway(f"job-{job_id}", NOW)


@pytest.mark.parametrize("failing", [False, True], ids=["late", "silent"])
@pytest.mark.parametrize("seconds", [10, -10], ids=["by the clock", "by a clock that is set back"])
def test_a_tick_is_held_up_for_a_bound_and_goes_on_where_it_ended(failing: bool, seconds: float) -> None:
    shop = Shop(paid_run(underway), answer_s=seconds, failing=failing)
    asked = [shop.tick() for _ in range(5)]
    # What is signed is first in every tick; two answers of 10 s are all that 20 s hold.
    assert asked == [[SIGNED, *JOBS[at : at + 2]] for at in (0, 2, 4, 6)] + [[SIGNED, *JOBS[:2]]]
    assert shop.tick(by=step) == [SIGNED, *JOBS[2:4]]


def test_a_vendor_slower_than_the_bound_is_asked_alone() -> None:
    shop = Shop(paid_run(underway), answer_s=300)
    shop.run = replace(shop.run, jobs=shop.run.jobs[:2], jobs_open_max=2)
    assert [shop.tick() for _ in range(3)] == [[JOBS[0]], [JOBS[1]], [JOBS[0]]]


def test_quick_vendors_are_all_asked_once_and_nothing_is_written_of_it() -> None:
    shop = Shop(paid_run(underway), answer_s=0.01)
    assert shop.tick() == [SIGNED, *JOBS]
    assert (shop.run.ask_first, shop.saves) == ("", 0)


def test_vendors_that_owe_a_job_are_asked_within_the_same_bound() -> None:
    """A job that is named in this tick is news: its progress is asked for too, while there is time."""
    shop = Shop(paid_run(lambda _: Owed(NOW)), answer_s=9)
    assert shop.tick() == [SIGNED, *JOBS[:3], SIGNED]
    assert [type(job.work).__name__ for job in shop.run.jobs if isinstance(job, Settled)] == ["Underway"] * 3 + [
        "Owed"
    ] * 5
    assert shop.run.ask_first == JOBS[3]
    assert shop.tick()[1:4] == JOBS[3:6]


def test_who_is_asked_first_is_kept_and_an_older_record_has_none(world: World) -> None:
    run = world.tick(world.start())
    assert not isinstance(run.jobs[0], Reserved)
    kept = world.store.save(run, replace(run, ask_first=run.jobs[0].job_id), (), world.market.clock.now())
    assert world.store.load(run.run_id) == kept
    world.market.database(DATABASE).runs.update_one({}, {"$unset": {"askFirst": ""}})
    assert world.store.load(run.run_id) == replace(kept, ask_first="")
