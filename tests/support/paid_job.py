"""One paid job whose vendor answers by a script, on fakes alone: no server, no database, a clock that a test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from gpuagent.agent.execute import claim, poll
from gpuagent.core.events import Event
from gpuagent.core.model import Authorized, Run, Settled, Submitted, Vendor
from gpuagent.core.pace import Pace
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Chain
from gpuagent.core.ports.store import Store
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.ports.wallet import Wallet
from gpuagent.core.transitions import apply
from gpuagent.core.work import JobReport, JobStatus, Owed, Work
from tests.support.factories import TOKEN, VENDOR

Answer = str | JobReport | Exception
"""A job's name, "" for none; a report; or an error of the vendor's."""


def report(status: JobStatus = JobStatus.RUNNING, progress: float = 0.0, word: str = "", **fields: Any) -> JobReport:
    return JobReport(status, progress, fields.get("logs", ()), {}, "", fields.get("error_message", ""), word)


@dataclass
class RecordedVendors:
    """The part of a store that the work needs. now: its clock."""

    now: Callable[[], float]

    def vendors(self) -> tuple[Vendor, ...]:
        return (VENDOR,)


@dataclass
class PaidJob:
    """The run with its job "one". events: what came of every answer, in order, None where nothing did."""

    run: Run
    now_s: float = 1_000.0
    pace: Pace = field(default_factory=Pace)
    events: list[Event | None] = field(default_factory=list)
    answer: Answer = ""

    def now(self) -> float:
        return self.now_s

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        return Submitted(cast("str", self._answer()))

    def status(self, vendor: Vendor, job: VendorJob, *_: object) -> JobReport:
        return cast("JobReport", self._answer())

    def hears(self, answer: Answer, after_s: float = 0.0) -> Work:
        """Ask the vendor, which answers so after a while. The work as it is then."""
        self.answer, self.now_s = answer, self.now_s + after_s
        parts = cast("Any", self)
        store, unused = cast("Store", RecordedVendors(self.now)), cast("Any", None)
        wallet = cast("Wallet", SimpleNamespace(token=TOKEN))
        ports = Ports(store, {}, wallet, cast("Chain", unused), parts, parts, unused, self.pace)
        event = (claim if isinstance(self.work, Owed) else poll)(self.run, "one", ports)
        self.events.append(event)
        self.run = apply(self.run, event) if event else self.run
        return self.work

    @property
    def work(self) -> Work:
        (job,) = self.run.jobs
        assert isinstance(job, Settled)
        return job.work

    def _answer(self) -> Answer:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
