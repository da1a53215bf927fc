"""Start reading here. A step loads a run, does what is due, saves it. Kill it anywhere and step again."""

from dataclasses import replace

from gpuagent.errors import DuplicateVendorJob, StaleRun
from gpuagent.events import (
    WORLDLY,
    Authorize,
    Claim,
    Event,
    JobClaimed,
    JobFinished,
    Pay,
    PaymentSettled,
    Plan,
    Poll,
    Step,
)
from gpuagent.execute import claim, poll
from gpuagent.model import Failed, Run
from gpuagent.narrate import narrate
from gpuagent.pay import authorize, pay
from gpuagent.plan import plan
from gpuagent.ports import Ports
from gpuagent.transitions import apply, next_steps

STEPS_MAX = 200
"""More steps than one tick of an honest run can make; a bound for the dishonest ones."""


def step(run_id: str, ports: Ports) -> Run:
    """Make the one transition that is due, per open job. Raises the errors of errors.py."""
    run, _ = _advance(ports.store.load(run_id), ports)
    return run


def tick(run_id: str, ports: Ports) -> Run:
    """Make steps until the run must wait for the world or is over. Raises as step() does."""
    run = ports.store.load(run_id)
    for _ in range(STEPS_MAX):
        run, moved = _advance(run, ports)
        if not moved:
            break
    return run


def _advance(run: Run, ports: Ports) -> tuple[Run, bool]:
    """Every step that is due, once, and whether more may be due at once."""
    moved = False
    for due in next_steps(run, ports.clock.now()):  # pure: what is due
        if due not in next_steps(run, ports.clock.now()):
            continue  # an earlier step of this round ended the run
        try:
            event = perform(due, run, ports)  # the only effects
            if event is None:
                continue
            run = _save(run, event, ports)  # pure, then one transaction
        except StaleRun:
            return ports.store.load(run.run_id), True
        moved = moved or not isinstance(event, WORLDLY)
    return run, moved


def perform(due: Step, run: Run, ports: Ports) -> Event | None:
    """The event that the step brings about, or None when there is no news."""
    match due:
        case Plan():
            return plan(run, ports)
        case Authorize(job_id):
            return authorize(run, job_id, ports)
        case Pay(job_id):
            return pay(run, job_id, ports)
        case Claim(job_id):
            return claim(run, job_id, ports)
        case Poll(job_id):
            return poll(run, job_id, ports)


def _save(run: Run, event: Event, ports: Ports) -> Run:
    now = ports.clock.now()
    try:
        return ports.store.save(run, apply(run, event), narrate(run, event), now)
    except DuplicateVendorJob as error:
        match event:
            case PaymentSettled():  # the money is where the chain says, whatever the vendor claims
                run = _save(run, replace(event, vendor_job_id=""), ports)
            case JobClaimed():
                pass
            case _:
                raise
        return _save(run, JobFinished(event.job_id, Failed(f"disputed: {error}", now)), ports)
