"""Markets of scenario files, and the context a planner gets of one: never its truth, bounds, family or id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from pathlib import Path

from gpuagent.core.context import Candidate, Context, Learned, PastJob
from gpuagent.core.money import UNIT
from gpuagent.errors import BadInput
from gpuagent.planbench.files import BoundPart, FilePart, HistoryPart, TruthPart, read

EPOCH = 1_700_000_000.0
"""Tick 0 of every scenario, in Unix seconds: a planner sees times, and the same ones in every play."""
UNKNOWN_RELIABILITY = 0.5
"""Recorded for a vendor that advertises none: a vendor's record needs a number, and planners take this for unknown."""
HISTORY_GAP = 10
"""Ticks between two jobs of a history that names no ticks."""


@dataclass(frozen=True, slots=True)
class Seller:
    """A scenario's vendor. price: atomic units per hour. refund: the share of a failed job's amount that comes back."""

    vendor_id: str
    price: int
    reliability: float | None
    gpu_types: tuple[str, ...]
    refund: float


@dataclass(frozen=True, slots=True)
class Market:
    """One variant of one scenario file. budget in atomic units; past: ended jobs of earlier runs, oldest first.

    count: jobs that its run has to complete; at_once: of them open at once. hedge_after: the ticks beyond its own one
    after which a job of them is late and may be hedged; 0 for no hedges.
    """

    scenario: str
    variant: int
    family: str
    goal: str
    gpu_type: str
    budget: int
    hours: Decimal
    ticks: int
    sellers: tuple[Seller, ...]
    past: tuple[PastJob, ...]
    truth: TruthPart
    bounds: Mapping[str, BoundPart]
    count: int = 1
    at_once: int = 1
    hedge_after: int = 0

    @property
    def job_s(self) -> float:
        return float(self.hours) * 3600

    def at(self, tick: int) -> float:
        """The beginning of a tick, in Unix seconds."""
        return EPOCH + tick * self.job_s

    @property
    def replicates(self) -> int:
        return len(next(iter(self.truth.outcomes.values())))

    def price(self, seller: Seller, tick: int) -> int:
        """Atomic units per hour, as shown at that tick; at the deadline as in the tick before it."""
        path = self.truth.price.get(seller.vendor_id)
        return atomic(path[min(tick, self.ticks - 1)]) if path else seller.price

    def chance(self, vendor_id: str, tick: int) -> float:
        """The true chance that a job started at that tick succeeds."""
        path = self.truth.p_success[vendor_id]
        return path if isinstance(path, float | int) else path[tick]

    def posterior(self, vendor_id: str, attempt: int, tick: int) -> float:
        """The chance after `attempt` failures, as the generator must see it; the true one where unknown."""
        table = self.truth.posterior.get(vendor_id)
        return table[min(attempt, len(table) - 1)] if table else self.chance(vendor_id, tick)

    def outcome(self, vendor_id: str, attempt: int, tick: int, replicate: int) -> float:
        """The drawn outcome, 1 or 0. A vendor tried more often than outcomes were drawn for it fails."""
        script = self.truth.outcomes[vendor_id][replicate]
        position = tick if self.truth.index == "tick" else attempt
        return float(position < len(script) and script[position] == "1")

    def ticks_of(self, vendor_id: str, attempt: int, tick: int, replicate: int) -> int:
        """The ticks that a job takes, by its drawn delay: one, and those by which it is late."""
        scripts = self.truth.delays.get(vendor_id)
        position = tick if self.truth.index == "tick" else attempt
        return 1 + int(scripts[replicate][position]) if scripts and position < len(scripts[replicate]) else 1

    def refund(self, seller: Seller, tick: int) -> float:
        path = self.truth.refund.get(seller.vendor_id)
        return path[tick] if path else seller.refund

    def seller(self, vendor_id: str) -> Seller:
        (seller,) = [seller for seller in self.sellers if seller.vendor_id == vendor_id]
        return seller

    def context(self, tick: int, available: int, waits: int, attempts: Sequence[PastJob]) -> Context:
        """The planner's context at a tick, after these jobs of its run. Vendors without the GPU are no candidates.

        Of a run with one job: with several the agent itself makes it (paper/run.py).
        """
        now = self.at(tick)
        return Context(
            goal=self.goal,
            gpu_type=self.gpu_type,
            hours=self.hours,
            budget=self.budget,
            available=available,
            now=now,
            deadline=self.at(self.ticks),
            decisions_left=self.ticks - tick,
            waits=waits,
            job_s=self.job_s,
            candidates=tuple(
                self._candidate(seller, tick, now) for seller in self.sellers if self.gpu_type in seller.gpu_types
            ),
            past=(*self.past, *attempts),
        )

    def _candidate(self, seller: Seller, tick: int, now: float) -> Candidate:
        price = self.price(seller, tick)
        return Candidate(
            vendor_id=seller.vendor_id,
            name=seller.vendor_id,
            price_per_hour=price,
            reliability=seller.reliability,
            amount=cost(price, self.hours),
            expires_at=now + self.job_s,
            eta_s=self.job_s,
            refund=seller.refund,
            learned=_learned(seller, self.past),
        )


def load(location: Path) -> tuple[tuple[Market, ...], ...]:
    """The markets of every scenario file in a folder, or of one file; by file name. Raises BadInput."""
    paths = sorted(location.glob("*.json")) if location.is_dir() else [location]
    if not paths:
        command = f"gpuagent planners generate --out {location}"
        raise BadInput(f"no scenario files (*.json) in {location}: `{command}` makes some")
    scenarios = tuple(markets(read(path)) for path in paths)
    names = [variants[0].scenario for variants in scenarios]
    duplicates = [name for name in names if names.count(name) > 1]
    if duplicates:
        raise BadInput(f"{location}: two files have the id {duplicates[0]}")
    return scenarios


def bundled_folder() -> Path:
    """The folder of the scenario files in this package: a few of each synthetic family."""
    return Path(__file__).with_name("scenarios")


def markets(variants: Sequence[FilePart]) -> tuple[Market, ...]:
    return tuple(_market(part, number) for number, part in enumerate(variants))


def atomic(usd: float) -> int:
    return int((Decimal(str(usd)) * UNIT).quantize(Decimal(1), ROUND_HALF_UP))


def cost(price_per_hour: int, hours: Decimal) -> int:
    """The quoted amount of a job, in atomic units."""
    return int((price_per_hour * hours).to_integral_value(ROUND_CEILING))


def _market(part: FilePart, number: int) -> Market:
    hours = Decimal(str(part.run.hours_required)).normalize()
    job_s = float(hours) * 3600
    return Market(
        scenario=part.id,
        variant=number,
        family=part.family,
        goal=part.run.goal,
        gpu_type=part.run.gpu_type,
        budget=atomic(part.run.budget_total),
        hours=hours,
        ticks=part.run.deadline_ticks,
        sellers=tuple(
            Seller(
                vendor.vendor_id,
                atomic(vendor.base_price_per_hour),
                vendor.reliability_score,
                vendor.supported_gpu_types,
                vendor.refund_on_fail,
            )
            for vendor in part.vendors
        ),
        past=tuple(_past_job(job, number, len(part.history), job_s) for number, job in enumerate(part.history)),
        truth=part.truth,
        bounds=part.bounds,
        count=part.run.jobs.count,
        at_once=part.run.jobs.at_once,
        hedge_after=part.run.jobs.hedge_after_ticks or 0,
    )


def _past_job(job: HistoryPart, number: int, count: int, job_s: float) -> PastJob:
    tick = job.tick if job.tick is not None else HISTORY_GAP * (number - count)
    return PastJob(
        vendor_id=job.vendor_id,
        in_run=False,
        succeeded=job.status == "completed",
        amount=atomic(job.expected_cost),
        paid=atomic(job.actual_cost),
        hours=Decimal(str(job.hours)).normalize(),
        started_at=EPOCH + tick * job_s,
        ended_at=EPOCH + (tick + 1) * job_s,
    )


def _learned(seller: Seller, past: Sequence[PastJob]) -> Learned:
    """The vendor's outcomes in earlier runs; how to weigh them is up to the planner."""
    outcomes = [job.succeeded for job in past if job.vendor_id == seller.vendor_id]
    return Learned(successes=sum(outcomes), failures=len(outcomes) - sum(outcomes))
