"""Start reading here. A step loads a run, does what is due, saves it. Kill it anywhere and step again."""

from dataclasses import dataclass, field, replace

from gpuagent.agent import hedge as hedging
from gpuagent.agent.collect import collect
from gpuagent.agent.deliver import deliver
from gpuagent.agent.execute import claim, poll, stop, supersede
from gpuagent.agent.pay import authorize, pay
from gpuagent.agent.plan import plan, postponed
from gpuagent.agent.save import save_event
from gpuagent.agent.tick_chain import TickChain
from gpuagent.agent.tick_store import Reading, TickStore
from gpuagent.core import budget
from gpuagent.core.events import (
    WORLDLY,
    AskingCutShort,
    Event,
    HedgeDeclined,
    HedgePostponed,
    JobClaimed,
    JobDropped,
    JobFinished,
    PaymentAuthorized,
    PaymentSettled,
    PlanAborted,
    PlannerCharged,
    PlanPostponed,
    VendorChosen,
)
from gpuagent.core.model import Cause, Run
from gpuagent.core.observations import observations_of
from gpuagent.core.ports import Ports
from gpuagent.core.steps import (
    Authorize,
    Claim,
    Collect,
    Deliver,
    Hedge,
    Pay,
    Plan,
    Poll,
    Step,
    Stop,
    Supersede,
    next_steps,
)
from gpuagent.core.terms import unsigned_nonces
from gpuagent.core.transitions import apply
from gpuagent.core.work import Failed, JobEnding
from gpuagent.errors import (
    ChainError,
    DuplicateVendorJob,
    FileStoreError,
    PolicyRefused,
    Refused,
    StaleRun,
    VendorError,
    WalletError,
)

STEPS_MAX = 200
"""More steps than one tick of an honest run can make; a bound for the dishonest ones."""
ONCE = Claim | Poll | Deliver | Collect | Stop
"""Steps that ask a vendor about one job, each of them once a tick."""
Deliberated = VendorChosen | PlanPostponed | PlanAborted | HedgePostponed | HedgeDeclined
"""Events that a planner may have been asked for."""


def step(run_id: str, ports: Ports) -> Run:
    """Make the one transition that is due, per open job. Raises the errors of errors.py."""
    ports = _for_one_tick(ports, TickStore(ports.store, ports.clock))
    run, _ = _advance(ports.store.load(run_id), _Asking(ports.pace.asking_s), ports)
    return run


def tick(run_id: str, ports: Ports, reading: Reading | None = None) -> Run:
    """Make steps until the run must wait for the world or is over. Raises as step() does.

    reading: of the run, where it has just been read among others.
    """
    store = TickStore(ports.store, ports.clock, reading)
    ports = _for_one_tick(ports, store)
    run, asking = store.run if reading else store.load(run_id), _Asking(ports.pace.asking_s)
    for _ in range(STEPS_MAX):
        run, moved = _advance(run, asking, ports)
        if not moved:
            break
    return run


def _for_one_tick(ports: Ports, store: TickStore) -> Ports:
    """The ports, reading of database and chain together what the steps of one tick go by."""

    def nonces() -> list[str]:
        return unsigned_nonces(store.run, ports.wallet.token)

    return replace(ports, store=store, chain=TickChain(ports.chain, ports.clock, nonces, store.signed))


@dataclass
class _Asking:
    """What one tick asks vendors about jobs: each once, while time is left. missed: the first it had no time for.
    answered: steps that were made without an error.

    left_s: seconds. The first is always asked. planned: whether a job was planned. Of several no more are planned in
    this tick once its time is over, so that slow vendors do not hold up what is signed.
    """

    left_s: float
    asked: set[Step] = field(default_factory=set)
    answered: set[Step] = field(default_factory=set)
    missed: str = ""
    planned: bool = False

    def skips(self, due_step: Step, run: Run) -> bool:
        if isinstance(due_step, Plan):
            return self.planned and run.count > 1 and self.left_s <= 0
        if isinstance(due_step, Hedge):
            return not self._has_asked(due_step.job_id) or (self.planned and self.left_s <= 0)
        if not isinstance(due_step, ONCE):
            return False
        if due_step in self.asked:
            return True
        if self.left_s <= 0:
            self.missed = self.missed or due_step.job_id
            return True
        self.asked.add(due_step)
        return False

    def _has_asked(self, job_id: str) -> bool:
        """Whether this tick has asked for the job: one that ended while no tick did is not late."""
        return bool(self.answered & {Claim(job_id), Poll(job_id)})

    def perform(self, due_step: Step, run: Run, ports: Ports) -> Event | None:
        began = ports.clock.now()
        try:
            event = perform(due_step, run, ports)
            self.answered.add(due_step)
            return event
        finally:
            self.planned = self.planned or isinstance(due_step, Plan | Hedge)
            if isinstance(due_step, ONCE | Hedge) or (isinstance(due_step, Plan) and run.count > 1):
                self.left_s -= abs(ports.clock.now() - began)  # whichever way a clock was set meanwhile


def _advance(run: Run, asking: _Asking, ports: Ports) -> tuple[Run, bool]:
    """The run after every step that is due, once, and whether more may be due at once.

    A step that cannot be made holds up no other job of the run: its error is raised once nothing else moves.
    """
    moved, problem = False, None
    for place, due_step in enumerate(next_steps(run, ports.clock.now())):  # pure: what is due
        if place and due_step not in next_steps(run, ports.clock.now()):
            continue  # an earlier step of this round ended the run
        if asking.skips(due_step, run):
            continue
        try:
            event = asking.perform(due_step, run, ports)  # the only effects
            if event is None:
                continue
            run = _save(run, event, ports)  # pure, then one transaction
        except StaleRun:
            return ports.store.load(run.run_id), True
        except (Refused, ChainError, VendorError, WalletError, FileStoreError) as error:
            problem = problem or error
        else:
            moved = moved or not isinstance(event, WORLDLY)
    if asking.missed not in ("", run.ask_first):
        try:
            run = _save(run, AskingCutShort(asking.missed), ports)
        except StaleRun:
            return ports.store.load(run.run_id), True
    if problem and not moved:
        raise problem
    return run, moved


def perform(due_step: Step, run: Run, ports: Ports) -> Event | None:
    """The event that the step brings about, or None when there is no news."""
    match due_step:
        case Plan():
            return plan(run, ports)
        case Hedge(job_id):
            return hedging.hedge(run, job_id, ports)
        case Authorize(job_id):
            return authorize(run, job_id, ports)
        case Pay(job_id):
            return pay(run, job_id, ports)
        case Claim(job_id):
            return claim(run, job_id, ports)
        case Poll(job_id):
            return poll(run, job_id, ports)
        case Deliver(job_id):
            return deliver(run, job_id, ports)
        case Collect(job_id):
            return collect(run, job_id, ports)
        case Stop(job_id):
            return stop(run, job_id, ports)
        case Supersede(job_id):
            return supersede(run, job_id, ports)


def _save(run: Run, event: Event, ports: Ports) -> Run:
    now = ports.clock.now()
    try:
        return ports.store.save(run, apply(run, event), observations_of(run, event), now)
    except StaleRun:
        if isinstance(event, Deliberated) and event.cost:
            _charge(run.run_id, event, ports)
        raise
    except PolicyRefused as error:  # it allowed this a moment ago, before another run or its owner was faster
        match event:
            case VendorChosen() if event.quote.hedges:
                return _save(run, hedging.postponed(run, event, str(error), ports), ports)
            case VendorChosen():
                return _save(run, postponed(event, str(error)), ports)
            case PaymentAuthorized(job_id):  # signed, never stored: it has left the agent nowhere, and never will
                return _save(run, JobDropped(job_id, str(error), Cause.POLICY), ports)
        raise
    except DuplicateVendorJob as error:
        match event:
            case PaymentSettled():  # the money is where the chain says, whatever the vendor claims
                run = _save(run, replace(event, vendor_job_id=""), ports)
            case JobClaimed():
                pass
            case _:
                raise
        dispute = Failed(f"disputed: {error}", now, ending=JobEnding.DISPUTED)
        return _save(run, JobFinished(event.job_id, dispute), ports)


def _charge(run_id: str, lost: Deliberated, ports: Ports) -> None:
    """Charge the cost of a lost decision to the run as it is by now, at most what it has left."""
    reason = lost.reason if isinstance(lost, PlanAborted | HedgeDeclined) else lost.decision.reason

    def charge(run: Run) -> PlannerCharged:
        cost = min(lost.cost, budget.available(run))
        return PlannerCharged(reason, lost.data, cost, lost.cost - cost)

    save_event(run_id, charge, ports.store, ports.clock)
