"""What a seller keeps, as values: quotes, purchases and jobs; and why one is not taken on."""

from dataclasses import dataclass
from typing import Literal

LOOKS, LOST = 2, -1
"""How often the transfer of a sale is looked for again, and what is stored once the chain has taken it back."""
Start = Literal["", "waiting", "started", "ended", "failed", "forgotten"]


class NonceTaken(Exception):
    """This payer's nonce, or this key, has bought something already."""


class NoRoom(Exception):
    """No job can be taken on now: says why, in words for the buyer."""


@dataclass(frozen=True)
class Quote:
    """A binding price, frozen when it was given. `amount` is atomic units, `expires_at` Unix seconds.

    `job_order` is the canonical JSON of the workload that it is for, "" without one.
    """

    quote_id: str
    vendor_id: str
    amount: int
    pay_to: str
    gpu_type: str
    hours: str
    expires_at: float
    job_order: str = ""


@dataclass(frozen=True)
class Purchase:
    """A payment that was verified. 'settling' means that its transfer may or may not be on chain.

    looks: how often a settled one is still looked for on chain, until it is final; LOST where it was taken back.
    """

    vendor_id: str
    key: str
    fingerprint: str
    quote_id: str
    payer: str
    nonce: str
    amount: int
    pay_to: str
    header: str
    requirements: str
    job_params: str
    state: Literal["settling", "settled"] = "settling"
    tx: str | None = None
    answer: str | None = None
    begun_at: float = 0.0
    looks: int = 0


@dataclass(frozen=True)
class Job:
    """Work that is paid for. Without a `job_order` it is simulated, by its `fate` and the time since `sold_at`.

    With one it is run: `start` is "waiting" until the runner has it, "started" while that runs it, and "ended" then;
    "failed" where it never ran, for what `failure` says, and "forgotten" once its files are kept no longer.
    """

    job_id: str
    vendor_id: str
    key: str
    gpu_type: str
    hours: str
    amount: int
    sold_at: float
    fate: str = ""
    job_order: str = ""
    start: Start = ""
    failure: str = ""
    exit_code: int | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Room:
    """How many jobs are taken on: of a kind of GPU, running and waiting, and of one payer. None for any number."""

    jobs: int | None = None
    of_payer: int | None = None


@dataclass(frozen=True)
class JobCount:
    """How many jobs of a kind of GPU have this start and this exit code."""

    gpu_type: str
    start: Start
    exit_code: int | None
    jobs: int
