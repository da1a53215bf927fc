"""Vendors that cannot serve, without malice. What malice does is in tests/safety."""

from dataclasses import dataclass, replace

import pytest

from gpuagent import settings, wiring
from gpuagent.agent.execute import LOG_LINES_MAX, poll
from gpuagent.core.events import JobFinished, JobProgressed
from gpuagent.core.model import RunStatus, Settled
from gpuagent.core.pace import Pace
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.transitions import apply
from gpuagent.core.work import Failed, JobEnding, JobReport, JobStatus, Owed, Underway
from gpuagent.tick import step
from tests.conftest import SafetyNote
from tests.support.run_states import STATES
from tests.support.world import World


def test_a_vendor_that_is_down_is_passed_over(world: World) -> None:
    world.market.fault("gpu_vendor_1", "down")
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_2"]
    world.assert_balanced(run, transfers=1)


def test_nobody_can_serve(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "overpriced")
    run = world.finish(world.start())
    assert run.status is RunStatus.FAILED
    assert "gpu_vendor_1" in run.reason
    assert "1400.00 USD" in run.reason
    world.assert_balanced(run, transfers=0)


def test_silent_vendors_are_waited_for_and_then_given_up(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "down")
    run = world.tick(world.start())
    assert run.status is RunStatus.RUNNING
    assert run.wait_until > world.market.clock.now()
    for _ in range(4):
        world.market.pass_time(300)
        run = world.tick(run)
    assert run.status is RunStatus.FAILED
    assert "gave no quote" in run.reason
    world.assert_balanced(run, transfers=0)


def test_an_agent_that_was_down_asks_a_paid_vendor_before_it_gives_the_job_up(world: World) -> None:
    """Killed once the payment was recorded, back an hour later, when the vendor is down for a minute."""
    world.market.fault("gpu_vendor_1", "error_after_settle")
    run = world.start()
    while not (run.jobs and isinstance(run.jobs[0], Settled)):
        run = step(run.run_id, world.ports)
    assert run.jobs[0].work == Owed(run.jobs[0].work.since)  # type: ignore[union-attr]
    world.market.pass_time(3600)
    run = world.tick(run)
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Owed)
    assert job.work.silent_since is not None
    world.market.heal()
    world.market.pass_time(60)
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)


def test_a_paid_vendor_that_stays_silent_is_given_up(world: World) -> None:
    world.market.fault("gpu_vendor_1", "error_after_settle")
    run = world.tick(world.start())
    world.market.pass_time(world.ports.pace.silence_s + 1)
    run = world.tick(run)
    (job, *_) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.reason.startswith("disputed: paid, but no job came of it")


@pytest.mark.safety("a paid order that is answered 202 in other words, and a job that is queued for seven minutes")
@pytest.mark.parametrize("fault", ["queued", "status_busy"])
def test_a_vendor_that_answers_in_other_words_is_paid_once_and_delivers(
    world: World, fault: str, safety_note: SafetyNote
) -> None:
    world.market.fault("gpu_vendor_1", "accepted_after_settle")
    run = world.tick(world.start())
    world.market.fault("gpu_vendor_1", fault)
    for _ in range(7):
        world.market.pass_time(60)
        run = world.tick(run)
        (job,) = run.jobs
        assert isinstance(job, Settled)
        assert isinstance(job.work, Underway)
    assert job.work.reply == "QUEUED" if fault == "queued" else "answered 429" in job.work.reply
    world.market.heal()
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)
    safety_note("taken as the job, and waited for; one payment; completed")


def test_the_operators_patience_is_a_variable(world: World) -> None:
    environment = {**world.environment, "VENDOR_PATIENCE_S": "60"}
    with wiring.open_agent(settings.read(environment), world.database) as agent:
        assert agent.ports.pace == Pace(patience_s=60)
    assert world.ports.pace == Pace()


@pytest.mark.safety("a vendor that is paid and says queued for ever")
def test_a_job_that_never_begins_is_disputed_at_last_and_bought_elsewhere(
    world: World, safety_note: SafetyNote
) -> None:
    world.market.fault("gpu_vendor_1", "queued")
    run = world.tick(world.start())
    world.market.pass_time(world.ports.pace.job_max_s(1) + 1)
    run = world.finish(run)
    job = run.jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.reason.startswith("disputed: still QUEUED after 9000 s")
    assert job.work.ending is JobEnding.DISPUTED
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1", "gpu_vendor_2"]
    world.assert_balanced(run, transfers=2)
    safety_note("waited for twice the paid hours and half an hour; then disputed, and bought elsewhere")


@dataclass
class StandingClock:
    """A clock that stands. The jobs of STATES began at 2."""

    at: float = 3.0

    def now(self) -> float:
        return self.at


class Chatty:
    """A vendor whose job has written so many lines."""

    def __init__(self, inner: VendorApi, lines: int) -> None:
        self.inner, self.lines = inner, lines

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def status(self, *_: object) -> JobReport:
        return JobReport(JobStatus.RUNNING, 0.5, tuple(map(str, range(self.lines))), {}, "", "")


def test_a_vendor_that_writes_without_end_is_heard_so_far_and_no_further(world: World) -> None:
    run, heard = STATES["underway"](), []
    for lines in (LOG_LINES_MAX - 1, LOG_LINES_MAX + 1, 3 * LOG_LINES_MAX):
        ports = replace(world.ports, vendor_api=Chatty(world.ports.vendor_api, lines))
        event = poll(run, "one", replace(ports, clock=StandingClock()))
        if isinstance(event, JobProgressed):
            run = apply(run, event)
        heard.append(len(event.new_logs) if isinstance(event, JobProgressed) else 0)
    assert heard == [LOG_LINES_MAX - 1, 1, 0]
    assert isinstance(run.jobs[0], Settled)


def test_a_job_that_only_runs_is_given_up_after_twice_its_hours(world: World) -> None:
    """And the time that a vendor is waited for, on top."""
    run, pace = STATES["underway"](), world.ports.pace
    ends_at = 2.0 + 3600 * pace.overrun + pace.patience_s
    ports = replace(world.ports, vendor_api=Chatty(world.ports.vendor_api, 0))
    assert isinstance(poll(run, "one", replace(ports, clock=StandingClock(ends_at))), JobProgressed)
    apart_s = ends_at + 1 - world.store.now()
    turned = replace(world.database, ahead=lambda: world.market.clock.ahead_s + apart_s).store
    event = poll(run, "one", replace(ports, clock=StandingClock(ends_at + 1), store=turned))
    assert isinstance(event, JobFinished)
    assert isinstance(event.outcome, Failed)
    assert event.outcome.reason == "disputed: still running after 9000 s, of 1 hours paid"
