"""The same purchase from a seller of each protocol: how it is made to go wrong there, and what it comes to."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gpuagent.agent import approve
from gpuagent.core.model import Job, Run, RunStatus, Settled, Vendor, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.core.steps import is_over
from gpuagent.core.work import Failed, Underway
from gpuagent.core.workload import Workload
from gpuagent.tick import tick
from gpuagent.wiring.vendors import record_vendors, vendor_from
from mock_vendor.stubs.serve import StubMarket
from tests.support.eventually import eventually
from tests.support.world import World

OWN = "gpuagent/1"
TICKS_MAX = 60
PATIENCE_S = 400
"""More than the agent is silent with a paid vendor, and than most authorizations live."""


@dataclass(frozen=True)
class Protocol:
    """One protocol. gpu: what its seller offers. budget: USD for one purchase and not for two.

    repeats: it answers a payment that is sent again with its job. after: it settles after the work.
    """

    name: str
    vendor_id: str
    gpu: str
    budget: float
    repeats: bool = False
    after: bool = False
    cancels: bool = False
    speaks_v1: bool = True


PROTOCOLS = (
    Protocol(OWN, "gpu_vendor_1", "A100", 0.4, repeats=True, cancels=True, speaks_v1=False),
    Protocol("hypercli", "hypercli", "A100", 0.4, cancels=True),
    Protocol("prism", "prism", "A100", 0.5, after=True),
    Protocol("openvps", "openvps", "CPU", 0.002, speaks_v1=False),
)
FAULTS = {"lose_answer": "drop_after_settle", "price_up": "raise_price", "v1_only": "v1_offer"}
"""The practice vendors' names for what the stubs' modes do."""


class Purchases:
    """Buys from one seller at a time, in a world of its own."""

    def __init__(self, world: World, stubs: StubMarket, protocol: Protocol) -> None:
        self.world, self.stubs, self.protocol = world, stubs, protocol
        record_vendors(world.database, [vendor_from(entry) for entry in stubs.listing()])

    @property
    def vendor(self) -> Vendor:
        vendors = self.world.store.vendors()
        return next(vendor for vendor in vendors if vendor.vendor_id == self.protocol.vendor_id)

    def record(self, **changes: Any) -> None:
        record_vendors(self.world.database, [replace(self.vendor, **changes)])

    def start(self, command: str, vendors: tuple[str, ...] = (), budget: float = 0, **fields: Any) -> Run:
        """A run of a command, for sale at the protocol's seller alone, with a budget for one purchase."""
        content = {"name": "contract", "command": command, "max_duration": 600, "program_failures": 1, **fields}
        workload = Workload.model_validate({**content, "resources": {"gpu": self.protocol.gpu}})
        sellers = vendors or (self.protocol.vendor_id,)
        return self.world.start(budget or self.protocol.budget, workload=workload, vendor_ids=sellers)

    def switch(self, mode: str) -> None:
        """Makes the seller misbehave in a way that all can."""
        if self.protocol.name == OWN:
            self.world.market.fault(self.protocol.vendor_id, FAULTS[mode])
        else:
            self.stubs.stub(self.protocol.name).switch(mode)

    def start_failing(self) -> Run:
        """A run whose job its seller fails, by no doing of the program."""
        modes = {"hypercli": "machine_lost", "prism": "lease_fails", "openvps": "provision_failed"}
        if self.protocol.name == OWN:
            return self.start("echo", setup="exit 1")
        self.stubs.stub(self.protocol.name).switch(modes[self.protocol.name])
        return self.start("echo")

    def tries(self, run: Run) -> Run:
        """The run after a few ticks, in which it comes to no purchase."""
        for _ in range(3):
            run = self.world.tick(run)
        return run

    def survive(self, run: Run, killer: "Killer") -> Run:
        """Ticks that die, to the end."""

        def look() -> Run | None:
            current = killer.tick(run)
            return current if current and is_over(current) else None

        return eventually(look, otherwise="it does not come to an end")

    def heal(self) -> None:
        self.world.market.heal()
        self.stubs.heal()

    def until(self, run: Run, reached: Callable[[Run], bool], ports: Ports | None = None) -> Run:
        """Ticks until it is so; the jobs run by the wall's clock."""

        def look() -> Run | None:
            current = tick(run.run_id, ports or self.world.ports)
            if (wait_s := current.wait_until - self.world.market.clock.now()) > 0 and not is_over(current):
                self.pass_time(math.ceil(wait_s))
            return current if reached(current) else None

        try:
            return eventually(look)
        except AssertionError:
            observations = self.world.reads.documents(run.run_id)["observations"]
            raise AssertionError([entry["content"] for entry in observations]) from None

    def outlast(self, run: Run) -> Run:
        """Ticks to the end, and turns the clocks ahead where a tick changes nothing.

        Not for a run that depends on its program's end: that comes by the wall's clock, and may come after hours of
        these.
        """
        for _ in range(TICKS_MAX):
            before = run.version
            run = self.world.tick(run)
            if is_over(run):
                return run
            if run.version == before:
                self.pass_time(PATIENCE_S)
        raise AssertionError(f"not over after {TICKS_MAX} ticks: {run}")

    def pass_time(self, seconds: float) -> None:
        self.world.market.pass_time(seconds)
        self.stubs.clock.advance(seconds)

    def cancel(self, run: Run) -> None:
        approve.cancel(run.run_id, "Ada", "the test says so", self.world.store, self.world.ports.clock)

    def forget(self, run: Run) -> None:
        """The seller knows nothing of the run's job any more, as after a restart without its memory."""
        if self.protocol.name == OWN:
            self.world.market.change(self.database, "jobs", self._job_key(run), {"vendorJobId": "job-of-before"})
        elif self.protocol.name == "prism":
            self.stubs.prism.restart()
        else:
            self.switch("forget_jobs")

    @property
    def database(self) -> str:
        return self.world.environment["MONGODB_DB_NAME"]

    def outcome(self, run: Run) -> str:
        """What the run came to, and what it cost: a cell of the table. The books balance, and equal the chain."""
        transfers = self.world.transfers()
        self.world.assert_balanced(run, len(transfers))
        moved = sum(transfer.amount for transfer in transfers)
        paid = "nothing paid" if not transfers else f"{len(transfers)} payment, {show_usd(moved)}"
        return f"{_end(run)}; {paid}"

    def _job_key(self, run: Run) -> Any:
        return self.world.reads.documents(run.run_id)["jobs"][-1]["_id"]


class Killed(BaseException):
    """The agent's process has died here."""


class Killer:
    """Ports at whose every effect the agent dies twice: before it has happened, and once it has.

    Where a seller does not repeat its answer, an agent that dies between the answer and its saving loses the job. That
    is another case, so for such a seller these two points are spared.
    """

    EFFECTS = ("save", "sign", "quote", "challenge", "submit", "status")

    def __init__(self, ports: Ports, repeats: bool) -> None:
        self.deaths: Counter[object] = Counter()
        self._repeats, self._saved, self._fragile = repeats, 0, False
        self.ports = replace(
            ports,
            store=_Watched(ports.store, self),
            wallet=_Watched(ports.wallet, self),
            vendor_api=_Watched(ports.vendor_api, self),
        )

    def tick(self, run: Run) -> Run | None:
        """None where the agent died."""
        try:
            return tick(run.run_id, self.ports)
        except Killed:
            return None

    def play(self, name: str, effect: Callable[[], Any]) -> Any:
        spared = self._fragile and name == "save"
        key = (name, self._saved)
        self.deaths[key] += 1
        if self.deaths[key] == 1 and not spared:
            raise Killed(f"before {name}")
        result = effect()
        if name == "save":
            self._saved, self._fragile = self._saved + 1, False
        if name == "submit" and not self._repeats:
            self._fragile = True
            return result
        if self.deaths[key] == 2 and not spared:
            raise Killed(f"after {name}")
        return result


class _Watched:
    """A port whose effects the killer watches."""

    def __init__(self, port: Any, killer: Killer) -> None:
        self._port, self._killer = port, killer

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name not in Killer.EFFECTS:
            return attribute
        return lambda *args, **keywords: self._killer.play(name, lambda: attribute(*args, **keywords))


def is_underway(run: Run) -> bool:
    """Whether the seller works on a job that it named."""
    return any(isinstance(getattr(job, "work", None), Underway) for job in run.jobs)


def _end(run: Run) -> str:
    if run.reason.startswith("cancelled"):
        return "cancelled"
    return "completed" if run.status is RunStatus.COMPLETED else f"failed: {_reason(run.jobs[-1])}"


def _reason(job: Job) -> str:
    match job:
        case Settled(work=Failed(exit_code=int(code))):
            return f"exit code {code}"
        case Settled(work=Failed(reason=reason)):
            return reason.split(":")[0] if reason.startswith("disputed") else "the seller's doing"
        case Voided():
            return "the seller's doing"
    return type(job).__name__
