"""The store of one tick: the run, the policy, the vendors and the database's clock, read together, used for seconds.

Nothing that moves money rests on this reading: a reservation or a signature is checked against what its transaction
reads, and a payment against a new reading before it is sent (pay.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuagent.agent.readings import is_fresh
from gpuagent.core.context import PastJob
from gpuagent.core.credits import Credit
from gpuagent.core.model import Authorized, Observation, Run, Vendor
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Footing, Standing, Store, TrackRecord
from gpuagent.core.records import Refund
from gpuagent.errors import UnknownRun


@dataclass(frozen=True, slots=True)
class Reading:
    """A run with what its steps are checked against. at: when it was requested, by this machine's clock."""

    standing: Standing
    at: float


@dataclass(frozen=True, slots=True)
class _Counted:
    """What counted against the caps before a job of these vendors was reserved.

    at: when it was requested, by this machine's clock. job_ids: of the run at that time.
    """

    usage: Usage
    at: float
    job_ids: frozenset[str]
    rules: Policy
    network: str
    vendor_ids: frozenset[str]

    def holds(self, run: Run, rules: Policy, network: str, vendor_ids: Sequence[str], job_id: str, now: float) -> bool:
        """Whether it still is what counts without the job, the only one that was added to the run since."""
        return (
            is_fresh(self.at, now)
            and self.job_ids < _job_ids(run) == self.job_ids | {job_id}
            and (self.rules, self.network) == (rules, network)
            and self.vendor_ids.issuperset(vendor_ids)
        )


def _job_ids(run: Run) -> frozenset[str]:
    return frozenset(job.job_id for job in run.jobs)


class TickStore:
    """The port Store over another, for one tick of one run. load() always reads. reading: one to begin with."""

    def __init__(self, store: Store, clock: Clock, reading: Reading | None = None) -> None:
        self._store, self._clock = store, clock
        self._reading = reading
        self._vendors: Sequence[Vendor] | None = None
        self._policy: Policy | None = None
        self._counted: _Counted | None = None
        self.signed: set[str] = set()
        """The nonces of the authorizations that this tick has saved."""

    def load(self, run_id: str) -> Run:
        at = self._clock.now()
        self._reading, self._vendors, self._policy = Reading(self._store.standing(run_id), at), None, None
        return self._reading.standing.run

    def footing(self, kept_s: float = 0.0) -> Footing:
        return self._store.footing(kept_s)

    def standing(self, run_id: str) -> Standing:
        return self._store.standing(run_id)

    @property
    def run(self) -> Run:
        """The run of the current reading."""
        return self._current().standing.run

    def now(self) -> float:
        """The database's clock at the reading, plus the time since then by this machine's."""
        reading = self._current()
        return round(reading.standing.now + (self._clock.now() - reading.at), 3)  # whole milliseconds, as it keeps

    def policy(self) -> Policy:
        standing = self._current().standing
        if self._policy is None:
            self._policy = standing.policy()
        return self._policy

    def vendors(self) -> Sequence[Vendor]:
        standing = self._current().standing
        if self._vendors is None:
            self._vendors = standing.vendors()
        return self._vendors

    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        rules, counted = rules or self.policy(), self._counted
        if counted and counted.holds(run, rules, network, vendor_ids, job_id, self._clock.now()):
            return counted.usage
        return self._store.usage(run, network, vendor_ids, at, job_id, rules)

    def new_id(self) -> str:
        return self._store.new_id()

    def create(self, run: Run) -> None:
        self._store.create(run)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        saved = self._store.save(before, after, observations, at)
        known = {job.job_id for job in before.jobs if isinstance(job, Authorized)}
        self.signed |= {
            job.authorization.nonce for job in saved.jobs if isinstance(job, Authorized) and job.job_id not in known
        }
        return saved

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        return self._store.past_jobs(run, network, vendor_ids, limit)

    def track_record(
        self, run: Run, network: str, vendor_ids: Sequence[str], at: float, limit: int, rules: Policy | None = None
    ) -> TrackRecord:
        rules, asked_at = rules or self.policy(), self._clock.now()
        record = self._store.track_record(run, network, vendor_ids, at, limit, rules)
        self._counted = _Counted(record.usage, asked_at, _job_ids(run), rules, network, frozenset(vendor_ids))
        return record

    def book_credit(self, credit: Credit, at: float) -> bool:
        return self._store.book_credit(credit, at)

    def book_refund(self, refund: Refund, at: float) -> bool:
        return self._store.book_refund(refund, at)

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        halted = self._store.halt_payee(vendor, why, at)
        self.load(self.run.run_id)  # the policy has changed
        return halted

    def _current(self) -> Reading:
        """The reading, or a new one where it is old, or this machine's clock was set back."""
        if self._reading is None:
            raise UnknownRun("no run was loaded in this tick")
        if not is_fresh(self._reading.at, self._clock.now()):
            self.load(self._reading.standing.run.run_id)
        return self._reading
