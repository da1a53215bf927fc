"""Store of a paper market: one run, the scenario's vendors and their past jobs. Of a policy there is none but halts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gpuagent.core.context import PastJob
from gpuagent.core.credits import Credit
from gpuagent.core.model import Observation, Run, Vendor
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports.store import Footing, Standing, TrackRecord
from gpuagent.core.records import Refund
from gpuagent.errors import StaleRun, UnknownRun
from gpuagent.planbench.paper.payments import ASSET, PAYEE, TOKEN, PaperClock
from gpuagent.planbench.scenarios import UNKNOWN_RELIABILITY, Market

RUN_ID = "0" * 24
NO_CAPS = Policy(version=1, new_vendor=None)
"""A scenario bounds a run by its budget alone."""


class PaperStore:
    """The port Store of one run. run: as it was saved last."""

    def __init__(self, market: Market, clock: PaperClock, run: Run) -> None:
        self._market, self._clock, self.run = market, clock, run

    def now(self) -> float:
        return self._clock.now()

    def new_id(self) -> str:
        return RUN_ID

    def create(self, run: Run) -> None:
        self.run = run

    def load(self, run_id: str) -> Run:
        if run_id != self.run.run_id:
            raise UnknownRun(f"no run {run_id} in a paper market")
        return self.run

    def footing(self, kept_s: float = 0.0) -> Footing:
        return Footing(self._clock.now(), self.policy, self.vendors)

    def standing(self, run_id: str) -> Standing:
        return Standing(self.load(run_id), self._clock.now(), self.policy, self.vendors)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        if before.version != self.run.version:
            raise StaleRun("another tick was faster")
        self.run = replace(after, version=before.version + 1)
        return self.run

    def policy(self) -> Policy:
        return NO_CAPS

    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        return Usage()

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        return False

    def vendors(self) -> Sequence[Vendor]:
        """The sellers at the prices of this tick."""
        return [
            Vendor(
                vendor_id=seller.vendor_id,
                name=seller.vendor_id,
                endpoint="",
                pay_to=PAYEE,
                network=TOKEN.network,
                asset=ASSET,
                secret_env="",
                base_price_per_hour=self._market.price(seller, self._clock.tick),
                reliability=UNKNOWN_RELIABILITY if seller.reliability is None else seller.reliability,
                gpu_types=seller.gpu_types,
            )
            for seller in sorted(self._market.sellers, key=lambda seller: seller.vendor_id)
        ]

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        counts = Counter[str]()
        newest = []
        for job in reversed(self._market.past):
            counts[job.vendor_id] += 1
            if job.vendor_id in vendor_ids and counts[job.vendor_id] <= limit:
                newest.append(job)
        return newest[::-1]

    def track_record(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        limit: int,
        rules: Policy | None = None,
    ) -> TrackRecord:
        return TrackRecord(Usage(), self.past_jobs(run, network, vendor_ids, limit))

    def book_credit(self, credit: Credit, at: float) -> bool:
        return False

    def book_refund(self, refund: Refund, at: float) -> bool:
        return False
