"""Start reading here: step() and tick() load a run, do what is due, and save it.

steps.py says which steps are due, perform() makes one, and transitions.py applies the event that comes of it. All state
is in the store, so a tick may be killed anywhere and made again by any process.
"""

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
    TICK_ENDING,
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
"""A bound on the rounds of one tick, above what any run needs: no vendor can keep a tick going for ever."""
VendorStep = Claim | Poll | Deliver | Collect | Stop
"""Steps that call the vendor of one job; each is made once a tick."""
PlannerEvent = VendorChosen | PlanPostponed | PlanAborted | HedgePostponed | HedgeDeclined
"""Events that may have cost a call of a planner."""


def step(run_id: str, ports: Ports) -> Run:
    """Make each step that is due, once. Raises the errors of errors.py."""
    ports = _for_one_tick(ports, TickStore(ports.store, ports.clock))
    run, _ = _advance(ports.store.load(run_id), _VendorTime(ports.pace.asking_s), ports)
    return run


def tick(run_id: str, ports: Ports, reading: Reading | None = None) -> Run:
    """Make steps until the run is over, or nothing can move it but time, a vendor or the chain. Raises as step() does.

    reading: the run as a caller has just read it, together with others; without it the run is loaded.
    """
    store = TickStore(ports.store, ports.clock, reading)
    ports = _for_one_tick(ports, store)
    run, calls = store.run if reading else store.load(run_id), _VendorTime(ports.pace.asking_s)
    for _ in range(STEPS_MAX):
        run, moved = _advance(run, calls, ports)
        if not moved:
            break
    return run


def _for_one_tick(ports: Ports, store: TickStore) -> Ports:
    """The ports, with store and chain read once for all steps of a tick, and again after some seconds."""

    def nonces() -> list[str]:
        return unsigned_nonces(store.run, ports.wallet.token)

    return replace(ports, store=store, chain=TickChain(ports.chain, ports.clock, nonces, store.signed))


@dataclass
class _VendorTime:
    """The time that one tick spends on calls of vendors, so that slow ones do not hold up what is signed.

    left_s: seconds; the first call is made in any case. asked: the steps that were begun; answered: those that raised
    no error; missed: the id of the first job that no time was left for. planned: whether a job was planned: once the
    time is over, no second one of a run with several is planned in this tick.
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
        if not isinstance(due_step, VendorStep):
            return False
        if due_step in self.asked:
            return True
        if self.left_s <= 0:
            self.missed = self.missed or due_step.job_id
            return True
        self.asked.add(due_step)
        return False

    def _has_asked(self, job_id: str) -> bool:
        """Whether the vendor has answered about the job in this tick: a job that ended between ticks is not late."""
        return bool(self.answered & {Claim(job_id), Poll(job_id)})

    def perform(self, due_step: Step, run: Run, ports: Ports) -> Event | None:
        began = ports.clock.now()
        try:
            event = perform(due_step, run, ports)
            self.answered.add(due_step)
            return event
        finally:
            self.planned = self.planned or isinstance(due_step, Plan | Hedge)
            if isinstance(due_step, VendorStep | Hedge) or (isinstance(due_step, Plan) and run.count > 1):
                self.left_s -= abs(ports.clock.now() - began)  # whichever way a clock was set meanwhile


def _advance(run: Run, calls: _VendorTime, ports: Ports) -> tuple[Run, bool]:
    """The run after each step that is due was made once, and whether more steps are due right away.

    A step that fails does not stop the other jobs of the run: its error is raised when nothing else moved.
    """
    moved, problem = False, None
    for place, due_step in enumerate(next_steps(run, ports.clock.now())):  # pure: what is due
        if place and due_step not in next_steps(run, ports.clock.now()):
            continue  # an earlier step of this round ended the run
        if calls.skips(due_step, run):
            continue
        try:
            event = calls.perform(due_step, run, ports)  # the only effects
            if event is None:
                continue
            run = _save(run, event, ports)  # pure, then one transaction
        except StaleRun:
            return ports.store.load(run.run_id), True
        except (Refused, ChainError, VendorError, WalletError, FileStoreError) as error:
            problem = problem or error
        else:
            moved = moved or not isinstance(event, TICK_ENDING)
    if calls.missed not in ("", run.ask_first):
        try:
            run = _save(run, AskingCutShort(calls.missed), ports)
        except StaleRun:
            return ports.store.load(run.run_id), True
    if problem and not moved:
        raise problem
    return run, moved


def perform(due_step: Step, run: Run, ports: Ports) -> Event | None:
    """Make the step; the event that comes of it, or None for no news."""
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
        if isinstance(event, PlannerEvent) and event.cost:
            _charge(run.run_id, event, ports)
        raise
    except PolicyRefused as error:  # it allowed this until another run reserved, or its owner changed it
        match event:
            case VendorChosen() if event.quote.hedges:
                return _save(run, hedging.postponed(run, event, str(error), ports), ports)
            case VendorChosen():
                return _save(run, postponed(event, str(error)), ports)
            case PaymentAuthorized(job_id):  # signed, but neither stored nor sent
                return _save(run, JobDropped(job_id, str(error), Cause.POLICY), ports)
        raise
    except DuplicateVendorJob as error:
        match event:
            case PaymentSettled():  # final on chain, whatever the vendor claims
                run = _save(run, replace(event, vendor_job_id=""), ports)
            case JobClaimed():
                pass
            case _:
                raise
        dispute = Failed(f"disputed: {error}", now, ending=JobEnding.DISPUTED)
        return _save(run, JobFinished(event.job_id, dispute), ports)


def _charge(run_id: str, lost: PlannerEvent, ports: Ports) -> None:
    """Charge the planner's cost of a decision that another tick made void, at most what the run has left."""
    reason = lost.reason if isinstance(lost, PlanAborted | HedgeDeclined) else lost.decision.reason

    def charge(run: Run) -> PlannerCharged:
        cost = min(lost.cost, budget.available(run))
        return PlannerCharged(reason, lost.data, cost, lost.cost - cost)

    save_event(run_id, charge, ports.store, ports.clock)
