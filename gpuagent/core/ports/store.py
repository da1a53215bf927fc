"""The port to the database: runs, the owner's policy, vendors, refunds and credits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpuagent.core.context import PastJob
from gpuagent.core.credits import Credit
from gpuagent.core.model import Observation, Run, Vendor
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.records import Refund


@dataclass(frozen=True, slots=True)
class Footing:
    """What a new run is checked against, all from one read. now: the database's clock, Unix seconds.

    policy: the rules in force; raises PolicyRefused when there are none. vendors: all recorded ones, by vendor_id.
    """

    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, and what its steps are checked against, all from one read; the other fields as in Footing."""

    run: Run
    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What counts against the caps, as usage() has it, and the vendors' ended jobs, as past_jobs() has them."""

    usage: Usage
    past: Sequence[PastJob]


class Runs(Protocol):
    """The runs with their jobs, payments and observations."""

    def now(self) -> float:
        """The database's clock, which all agents and approvers share. Unix seconds."""
        ...

    def new_id(self) -> str:
        """A unique id for a new run: 24 hex digits."""
        ...

    def create(self, run: Run) -> None:
        """Store a new run. Raises DuplicateRun when the id is taken; nothing is written then."""
        ...

    def load(self, run_id: str) -> Run:
        """The run with its jobs. Raises UnknownRun."""
        ...

    def footing(self, kept_s: float = 0.0) -> Footing:
        """The policy, the vendors and the clock. kept_s: how old, in seconds, a reading may be that is used again."""
        ...

    def standing(self, run_id: str) -> Standing:
        """The run with the policy, the vendors and the clock. Raises UnknownRun."""
        ...

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        """Save the run and its observations in one transaction, compare-and-swap on before.version.

        Returns the run with its new version. A job that is newly reserved or newly authorized is held against the
        policy in the same transaction; the day of a daily cap ends at `at`, or earlier by the database's clock.

        Raises StaleRun when another tick saved first, DuplicateVendorJob when the vendor's job id is another job's, and
        PolicyRefused; nothing is written then.
        """
        ...


class Rules(Protocol):
    """The owner's policy, and what counts against its caps."""

    def policy(self) -> Policy:
        """The rules in force. Raises PolicyRefused when there are none."""
        ...

    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        """What counts against the policy's caps on the network, without the job itself.

        at: the end of the day, Unix seconds; never later than by the database's clock. rules: the policy whose caps are
        meant; by default the one in force.
        """
        ...

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        """Halt a vendor that asked to be paid to another address than its record, `vendor`, has.

        False, and nothing is written, where it is halted already or its record has changed since.
        """
        ...


class Vendors(Protocol):
    """The recorded vendors and what became of their jobs."""

    def vendors(self) -> Sequence[Vendor]:
        """All recorded vendors, by vendor_id."""
        ...

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        """The vendors' newest ended jobs on the network in all other runs, at most `limit` of each, oldest first.

        A purchase that the vendor let fall through is among them, as a failure that cost nothing.
        """
        ...

    def track_record(
        self, run: Run, network: str, vendor_ids: Sequence[str], at: float, limit: int, rules: Policy | None = None
    ) -> TrackRecord:
        """usage() and past_jobs() of the same vendors, read together."""
        ...


class MoneyBack(Protocol):
    """Refunds, which the chain proves, and credits, which a vendor claims. No budget and no cap counts either."""

    def book_credit(self, credit: Credit, at: float) -> bool:
        """Book a credit that a vendor claims, once per job and kind. False where one is booked already."""
        ...

    def book_refund(self, refund: Refund, at: float) -> bool:
        """Book a transfer as a refund of a job. False where the transfer is booked already, for whichever job.

        Raises Refused, and nothing is written, where the job was not paid from that wallet in that token, or more would
        come back than was paid.
        """
        ...


class Store(Runs, Rules, Vendors, MoneyBack, Protocol):
    """All of it, as one database holds it."""
