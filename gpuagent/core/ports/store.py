"""The port to the database: runs, the rules they keep to, vendors, and money that came back."""

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
    """What any order is held against, all of one read. now: the database's clock, Unix seconds.

    policy: the rules in force; raises PolicyRefused when there are none. vendors: all recorded ones, by vendor_id.
    """

    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, and what its steps are held against, all of one read; otherwise as Footing has it."""

    run: Run
    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """usage: what counts against the policy's caps. past: the vendors' newest ended jobs, as past_jobs() has them."""

    usage: Usage
    past: Sequence[PastJob]


class Runs(Protocol):
    """The runs with their jobs, payments and observations."""

    def now(self) -> float:
        """The database's clock, which is one for all agents and approvers. Unix seconds."""
        ...

    def new_id(self) -> str:
        """An id for a run: 24 hex digits, never given before."""
        ...

    def create(self, run: Run) -> None:
        """Raises DuplicateRun when there is one of this id; then nothing was written."""
        ...

    def load(self, run_id: str) -> Run:
        """Raises UnknownRun."""
        ...

    def footing(self, kept_s: float = 0.0) -> Footing:
        """The rules, the vendors and the clock. kept_s: what was read so many seconds ago at most will do."""
        ...

    def standing(self, run_id: str) -> Standing:
        """The run with the rules, the vendors and the clock. Raises UnknownRun."""
        ...

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        """All of it or nothing, compare-and-swap on before.version. The run with its new version.

        A job that is newly reserved or newly authorized is held against the policy in the same transaction, whose
        day ends at `at`, but never later than by the database's clock.
        Raises StaleRun when another tick saved first, DuplicateVendorJob when a vendor's job id is taken,
        PolicyRefused when a rule of the policy says no.
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

        at: where a day ends, Unix seconds; never later than by the database's clock. rules: those whose caps are
        meant, the ones in force unless given.
        """
        ...

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        """Halt a vendor that names another payee than `vendor`, the record that it was held against; once.

        False where it is halted already, or is on record with another payee by now: then nothing is written.
        """
        ...


class Vendors(Protocol):
    """The recorded vendors and what became of their jobs."""

    def vendors(self) -> Sequence[Vendor]:
        """All recorded vendors, by vendor_id."""
        ...

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        """The vendors' newest ended jobs on the network in all other runs, at most `limit` of each, oldest first.

        A purchase that fell through by the vendor's doing is among them, as a failure that cost nothing.
        """
        ...

    def track_record(
        self, run: Run, network: str, vendor_ids: Sequence[str], at: float, limit: int, rules: Policy | None = None
    ) -> TrackRecord:
        """Rules.usage() and past_jobs() of the same vendors, read together."""
        ...


class MoneyBack(Protocol):
    """What came back, and what is said to. Neither changes a run, its budget, or what counts against a cap."""

    def book_credit(self, credit: Credit, at: float) -> bool:
        """Books a vendor's word, once for a job and kind; False where there was one, which stays as it is."""
        ...

    def book_refund(self, refund: Refund, at: float) -> bool:
        """Books a transfer for a job, once; False where this transfer is booked, whatever it is booked for.

        Raises Refused, and nothing is written, where the job was not paid so, or more would come back than was paid.
        """
        ...


class Store(Runs, Rules, Vendors, MoneyBack, Protocol):
    """All together, as one database holds them."""
