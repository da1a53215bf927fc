"""Errors raised on purpose. Anything else that escapes is a bug.

GpuAgentError
├── Explained            a problem that the user can fix: notebooks show its message alone
│   ├── BadInput         input of the user that cannot be used: says what to write instead
│   │   ├── UnknownRun
│   │   ├── RunNotOurs       a run of the original system: read-only
│   │   ├── UnknownVendor
│   │   ├── UnknownFile      no file of the run has this path
│   │   └── FileDeleted      retention has deleted the file's content; its record is kept
│   └── ConfigError      the environment lacks something, or a server is not there
│       └── MongodError      (adapters/mongo/embedded_secrets.py) the embedded database cannot start
├── Refused              a rule about money forbids it; nothing was signed
│   ├── WalletUnfunded
│   ├── PolicyRefused    a cap, a halt or a missing approval of the owner's policy
│   ├── DecisionRefused  the guard refused a planner's decision
│   └── ClocksDiffer     the clocks of this machine, the database and the chain differ
├── NotPermitted         the caller lacks the right: nothing was changed
├── WalletError          the wallet did not sign, or not as requested: nothing was sent
├── PlannerError         a planner gave no usable answer; the stub decides instead
├── IllegalTransition    an event does not fit the run: a bug, never retried
│   └── BudgetExceeded
├── DuplicateRun         a run has this id already: load it
├── RunFailed            a failed run, for schedulers only
├── Locked               another process on this machine holds the lock
├── StaleRun             another tick saved this run first: load it again
├── RunDamaged           the records of a run contradict each other: an operator must look
├── DuplicateVendorJob   a vendor named a job id that already belongs to another job
├── StoreError           a MongoDB operation failed; what it wrote is unknown: load again
│   ├── FileStoreError   an operation of the file store failed: MongoDB may be fine
│   │   └── FileMissing      a file's content is not in it
│   └── ChangesLost      the changes since a token are no longer kept: read everything again
├── ListUnavailable      a public list of vendors gave no usable answer
├── ChainError           the chain did not answer: money stays as it is
│   ├── SearchUnfinished a settlement exists, but is not found yet: ask again
│   └── ChainMismatch    the chain contradicts the ledger: an operator must look
└── VendorError          a vendor refused, failed or did not answer; says nothing about money
    ├── VendorBusy           it answers, but not with a usable report: it is not silent
    ├── VendorUnauthorized
    │   └── VendorTokenMissing   the bearer token is not set here: an operator must set it
    │       └── JobSecretMissing a secret that the job needs is not set
    ├── FileAltered      a file is not the one that was announced
    └── OfferInvalid     a 402 that is not the agreed purchase
        └── PayeeChanged     it, or a quote, names another payee than the vendor's record: the vendor is halted
"""

from collections.abc import Mapping


class GpuAgentError(Exception):
    """Base class."""


class Explained(GpuAgentError):
    """A problem that the user can fix, with a message that says how: notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: the lines to show in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class BadInput(Explained):
    """Input of the user that cannot be used. The message says what to write instead."""


class UnknownRun(BadInput):
    """No run has this id."""


class RunNotOurs(BadInput):
    """The original system wrote this run, which has no ledger to audit. It can only be shown."""


class UnknownVendor(BadInput):
    """No vendor has this id."""


class UnknownFile(BadInput):
    """No collected file of the run has this path."""


class FileDeleted(BadInput):
    """Retention has deleted the content of a file. Its record is kept."""


class ConfigError(Explained):
    """The environment lacks something this command needs."""


class Refused(GpuAgentError):
    """A rule about money forbids it. Nothing was signed."""


class WalletUnfunded(Refused):
    """The wallet holds less than the payment needs."""


class PolicyRefused(Refused):
    """The owner's policy forbids the purchase: a cap, a halt, or a missing approval."""


class DecisionRefused(Refused):
    """The guard refused a planner's decision."""


class ClocksDiffer(Refused):
    """The clocks of this machine, the database and the chain are minutes apart: one of them is wrong."""


class NotPermitted(GpuAgentError):
    """The caller lacks the right. Nothing was changed."""


class WalletError(GpuAgentError):
    """The wallet did not answer, or did not sign as requested. Nothing was sent; try again."""


class PlannerError(GpuAgentError):
    """The planner gave no usable answer. The stub decides instead, and the record says why.

    cost: of the call all the same, in atomic units; record: as in a Thought.
    """

    def __init__(self, message: str, cost: int = 0, record: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.cost = cost
        self.record: Mapping[str, object] = record or {}


class IllegalTransition(GpuAgentError):
    """An event does not fit the state of the run. A bug: never retried."""


class BudgetExceeded(IllegalTransition):
    """An event would spend more than the budget."""


class DuplicateRun(GpuAgentError):
    """A run has this id already. Nothing was written; load it."""


class RunFailed(GpuAgentError):
    """A run ended without its goal. Raised for schedulers only: elsewhere that is a result like any other."""


class Locked(GpuAgentError):
    """Another process on this machine holds the lock."""


class StaleRun(GpuAgentError):
    """Another tick saved this run first. Drop this one and load it again."""


class RunDamaged(GpuAgentError):
    """A run's records in the database contradict each other: no step is made of it before an operator has looked."""


class DuplicateVendorJob(GpuAgentError):
    """A vendor named a job id that already belongs to another job."""


class StoreError(GpuAgentError):
    """A MongoDB operation failed. Load the run again before anything else."""


class FileStoreError(StoreError):
    """An operation of the file store failed. It is the agent's own: no vendor is to blame."""


class FileMissing(FileStoreError):
    """The file store has no file with this SHA-256."""


class ChangesLost(StoreError):
    """The changes since a token are no longer kept. Watch from now on, and read everything again."""


class ListUnavailable(GpuAgentError):
    """A public list of vendors did not answer, or not with a list."""


class ChainError(GpuAgentError):
    """The chain did not answer. Nothing about money may be concluded."""


class SearchUnfinished(ChainError):
    """The nonce is used, and one round of queries has not found where. Ask again: the search goes on."""


class ChainMismatch(ChainError):
    """The chain contradicts the ledger. No step may resolve it; an operator must look."""


class VendorError(GpuAgentError):
    """A vendor refused, failed or did not answer. Says nothing about the money: ask the chain."""


class VendorBusy(VendorError):
    """The vendor answers, but asks to be called later, or unreadably. It does not count as silent."""


class VendorUnauthorized(VendorError):
    """The vendor does not accept our bearer token."""


class VendorTokenMissing(VendorUnauthorized):
    """The variable of the vendor's bearer token is unset or unusable. The vendor was not called."""


class JobSecretMissing(VendorTokenMissing):
    """The variable of a secret that a job needs is unset, unusable or the agent's own. The vendor was not called."""


class FileAltered(VendorError):
    """A file is not the one that was announced: other content, or more of it. It does not count."""


class OfferInvalid(VendorError):
    """The vendor's 402 is not the purchase that was agreed."""


class PayeeChanged(OfferInvalid):
    """A quote or a 402 names another payee than the vendor's record.

    payee: the address that it names, "" where it is none.
    """

    def __init__(self, message: str, payee: str) -> None:
        super().__init__(message)
        self.payee = payee


RETRYABLE = (Refused, WalletError, ChainError, VendorError, StoreError, StaleRun)
"""Errors whose cause may be gone by the next tick, such as a halt or a silent node; but never ChainMismatch."""
