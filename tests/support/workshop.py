"""A world in memory for runs with a workload: sellers that work, fail and lie, a chain that settles at once.

Everything but the state machine is small and honest here, so that thousands of ticks cost a second.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.context import PastJob
from gpuagent.core.model import (
    Authorization,
    Authorized,
    Challenge,
    Observation,
    Quote,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Settlement,
    Submitted,
    Terms,
    Vendor,
)
from gpuagent.core.orders import manifest_sha256
from gpuagent.core.pace import Pace
from gpuagent.core.policy import Halt, Policy, Usage
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Gas, Head, Open, Outcome
from gpuagent.core.ports.store import Footing, Standing, TrackRecord
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.steps import is_over
from gpuagent.core.work import CheckpointOffer, FileEntry, JobReport, JobStatus
from gpuagent.core.workload import Workload
from gpuagent.errors import StaleRun, VendorError
from gpuagent.tick import tick
from tests.support.factories import PAYER, RUN, TOKEN, VENDOR
from tests.support.memory_files import MemoryFiles

HOUR_PRICE = 1_000_000
PART = 64 * 1024
ALL = ("workload", "files", "checkpoint", "cancel")
JOB_FILE = {
    "name": "tiny",
    "command": "python train.py",
    "outputs": [{"path": "model.npz"}],
    "checkpoint": {"path": "checkpoint", "every": 1},
}


def entry(path: str, content: bytes) -> FileEntry:
    return FileEntry(path, len(content), hashlib.sha256(content).hexdigest())


def report(status: JobStatus = JobStatus.RUNNING, **changes: Any) -> JobReport:
    return replace(JobReport(status, 0.0, (), {}, "", ""), **changes)


@dataclass
class SoldJob:
    """A job at a seller. asked: how often for its state. files, checkpoint: contents by path."""

    name: str
    order: str
    hours: Decimal
    asked: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    checkpoint: dict[str, bytes] = field(default_factory=dict)
    stopped: bool = False

    @property
    def offer(self) -> CheckpointOffer | None:
        files = tuple(entry(path, content) for path, content in sorted(self.checkpoint.items()))
        return CheckpointOffer(manifest_sha256(files), files) if files else None

    @property
    def manifest(self) -> tuple[FileEntry, ...]:
        return tuple(entry(path, content) for path, content in sorted(self.files.items()))


Script = Callable[[SoldJob], JobReport]


def works(job: SoldJob) -> JobReport:
    """Done at the first look."""
    job.files = {"model.npz": b"model of " + job.name.encode()}
    return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest, progress=1.0)


def exits(code: int, *lines: str) -> Script:
    return lambda _: report(JobStatus.FAILED, exit_code=code, logs=lines)


def lost_after(fraction: float) -> Script:
    """A checkpoint at the first look, at the third the machine is lost."""

    def look(job: SoldJob) -> JobReport:
        job.checkpoint = {"progress.json": b'{"fraction": %s}' % str(fraction).encode(), "state": b"s" * 1000}
        status = JobStatus.FAILED if job.asked >= 3 else JobStatus.RUNNING
        return report(status, checkpoint=job.offer, progress=fraction, error_message="node lost")

    return look


@dataclass
class Seller:
    """script: what it says of each job it sold. accepts: what it can. reading: errors of the first reads of files.

    inputs: contents that it was sent. read_from: the first byte of each read. drips: a byte at each.
    """

    script: Script = works
    accepts: tuple[str, ...] = ALL
    inputs: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, SoldJob] = field(default_factory=dict)
    reading: list[Exception] = field(default_factory=list)
    read_from: list[int] = field(default_factory=list)
    drips: bool = False


class Sellers:
    """The port VendorApi."""

    def __init__(self, world: "Workshop") -> None:
        self._world = world

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        seller, amount = self._world.sellers[vendor.vendor_id], int(max_hours * HOUR_PRICE)
        self._world.at += self._world.quote_s
        ends = self._world.at + 600
        terms = (vendor.pay_to, vendor.network, vendor.asset, ends, 60.0, gpu_type, max_hours)
        return Quote(vendor.vendor_id, "quote-1", amount, *terms, order, seller.accepts)

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        self._world.at += self._world.latency_s
        return len(self._world.sellers[vendor.vendor_id].inputs.get(file.sha256, b""))

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        inputs = self._world.sellers[vendor.vendor_id].inputs
        inputs[file.sha256] = inputs.get(file.sha256, b"")[:start] + b"".join(parts)
        return len(inputs[file.sha256])

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        extra = {"name": TOKEN.name, "version": TOKEN.version}
        quote = job.quote
        terms = Terms("exact", quote.network, quote.asset, str(quote.amount), quote.pay_to, 300, extra)
        return Challenge((terms,))

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        self._world.settled[job.authorization.nonce] = job.authorization
        jobs, name = self._world.sellers[vendor.vendor_id].jobs, f"{vendor.vendor_id}-{job.job_id}"
        jobs.setdefault(name, SoldJob(name, job.quote.order, job.quote.max_hours))
        return Submitted(name)

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        seller = self._world.sellers[vendor.vendor_id]
        sold = seller.jobs[job.job_id]
        sold.asked += 1
        return seller.script(sold)

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        seller = self._world.sellers[vendor.vendor_id]
        if seller.reading:
            raise seller.reading.pop(0)
        seller.read_from.append(start)
        sold = seller.jobs[job.job_id]
        contents = sold.checkpoint if checkpoint else sold.files
        if file.path not in contents:
            raise VendorError(f"{vendor.vendor_id} has no file {file.path}")
        content = contents[file.path]
        if seller.drips:
            yield content[start : start + 1]
            return
        yield from (content[at : at + PART] for at in range(start, len(content), PART))

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        self._world.sellers[vendor.vendor_id].jobs[job.job_id].stopped = True
        return "stopped"


class Workshop:
    """One run and its sellers. at: the one clock. observations: all that were saved. latency_s: of a question,
    quote_s: for a quote."""

    def __init__(self, workload: Mapping[str, Any] | None = None, **sellers: Seller) -> None:
        self.sellers, self.files, self.at = sellers, MemoryFiles(), 1_000.0
        self.latency_s = self.quote_s = 0.0
        self.settled: dict[str, Authorization] = {}
        self.observations: list[Observation] = []
        self.rules, self.trusted = Policy(version=1), frozenset[str]()
        self.workload = Workload.model_validate(JOB_FILE | dict(workload or {}))
        self.run = replace(RUN, workload=self.workload.canonical, budget=20_000_000, network=TOKEN.network)
        self.ports = Ports(
            store=cast("Any", self),
            planners={"stub": StubPlanner()},
            wallet=cast("Any", _Wallet()),
            chain=cast("Any", _Chain(self)),
            vendor_api=Sellers(self),
            clock=cast("Any", self),
            files=self.files,
            pace=Pace(),
        )

    def ticks(self, count: int = 60) -> Run:
        """The run after so many ticks, a second apart, or once it is over."""
        for _ in range(count):
            tick(self.run.run_id, self.ports)
            self.at += 1
            if is_over(self.run):
                break
        return self.run

    @property
    def spent(self) -> int:
        return sum(authorization.amount for authorization in self.settled.values())

    @property
    def has_ended(self) -> bool:
        return self.run.status is not RunStatus.RUNNING

    # The store and the clock.

    def new_id(self) -> str:
        return "b" * 24

    def now(self) -> float:
        return self.at

    def load(self, run_id: str) -> Run:
        return self.run

    def standing(self, run_id: str) -> Standing:
        return Standing(self.load(run_id), self.now(), self.policy, self.vendors)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        if before.version != self.run.version:
            raise StaleRun("another tick was faster")
        self.run = replace(after, version=before.version + 1)
        self.observations += observations
        return self.run

    def policy(self) -> Policy:
        return self.rules

    def usage(self, *_: object) -> Usage:
        return Usage()

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        if vendor.vendor_id in self.rules.vendor_halts:
            return False
        halt = Halt("vendor", vendor.vendor_id, "gpuagent", why, at)
        self.rules = replace(self.rules, halts=(*self.rules.halts, halt))
        return True

    def vendors(self) -> tuple[Vendor, ...]:
        return tuple(replace(VENDOR, vendor_id=name, trusted=name in self.trusted) for name in self.sellers)

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        return ()

    def footing(self, kept_s: float = 0.0) -> Footing:
        return Footing(self.at, self.policy, self.vendors)

    def track_record(self, *_: object) -> TrackRecord:
        return TrackRecord(Usage(), ())


class _Wallet:
    address, token = PAYER, TOKEN

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        return f"signed {authorization.nonce}"

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        return f"cancels {authorization.nonce}"


@dataclass
class _Chain:
    world: Workshop

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        return Head(1, int(self.world.at), 10**9, tuple(self.spent(address, nonces)))

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        return [nonce for nonce in nonces if nonce in self.world.settled]

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        if authorization.nonce in self.world.settled:
            return Settlement("0x" + "d" * 64, 7, int(self.world.at))
        return Open(int(self.world.at), used=False)

    def send(self, transaction: str) -> str:
        return "0x" + "c" * 64

    def gas(self, address: str) -> Gas:
        return Gas(0, 1, 1, 10**18)
