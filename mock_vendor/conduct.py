"""How the practice vendors behave: as a seller does, but for the faults, prices and outcomes that are set."""

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from starlette.responses import Response
from x402.schemas import PaymentRequired

from mock_vendor.catalogue import PracticeVendor, offers
from mock_vendor.clock import Clock
from mock_vendor.faults import BENT, Faults
from mock_vendor.overrides import Overrides
from mock_vendor.settings import Settings
from mock_vendor.training import Training, observe
from seller.api.answers import Answer, FileAnswer
from seller.api.wire import JobStatusAnswer
from seller.catalogue import Vendor
from seller.conduct import Conduct, Verdict
from seller.database import Database
from seller.payments.market import to_usd
from seller.records import Job, Quote
from seller.runners import Checkpoint, Runner, RunnerError
from seller.runners.local import LocalRunner
from seller.work.order import read_order

RECEIVED_KEPT = 10_000
DEFAULT_EPOCHS, MAX_EPOCHS = 3, 100
LISTED_S, LOOK_S = 1.0, 0.05


@dataclass(frozen=True)
class PracticeConduct(Conduct):
    """`received` keeps every PAYMENT-SIGNATURE that came, used or not; `lured` who followed a redirect."""

    settings: Settings
    faults: Faults
    clock: Clock
    overrides: Overrides = field(default_factory=Overrides)
    received: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=RECEIVED_KEPT))
    lured: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECEIVED_KEPT))

    @property
    def simulates(self) -> bool:
        return True

    def accepts(self, vendor: Vendor) -> tuple[str, ...]:
        return self.faults.accepts(vendor.vendor_id)

    def price(self, vendor: Vendor, gpu_type: str, hours: Decimal) -> Decimal:
        assert isinstance(vendor, PracticeVendor)
        base = self.overrides.price(vendor.vendor_id, vendor.base_price_per_hour)
        return offers(base)[gpu_type].price(hours)

    def quote(self, vendor: Vendor, quote: Quote) -> Quote:
        return self.faults.bend_quote(vendor.vendor_id, quote)

    def challenge(self, vendor: Vendor, challenge: PaymentRequired) -> PaymentRequired:
        return self.faults.bend_challenge(vendor.vendor_id, challenge)

    def receive(self, vendor: Vendor, key: str, header: str) -> None:
        self.received.append({"vendorId": vendor.vendor_id, "key": key, "header": header})

    def verdict(self, vendor_id: str) -> Verdict:
        return self.faults.verdict(vendor_id)

    def fate(self, vendor_id: str, job_id: str, job_params: Mapping[str, Any]) -> str:
        """The length of a simulated training, and whether the job is doomed to fail."""
        return json.dumps({"epochs": _epochs(job_params), "doomed": self._is_doomed(vendor_id, job_id)})

    def begin(self, job: Job, runner: Runner) -> None:
        """Has a doomed job lose its machine, within a second of its first checkpoint, or at once if it makes none."""
        if self._loses_node(job):
            threading.Thread(target=_lose_node, args=(runner, job), daemon=True).start()

    def look(self, job: Job, checkpoint: Checkpoint | None, runner: Runner) -> None:
        if checkpoint and self._loses_node(job):
            _kill(runner, job)

    def simulated(self, job: Job) -> Answer:
        fate = json.loads(job.fate)
        training = Training(
            seed=self.settings.seed,
            job_id=job.job_id,
            gpu_type=job.gpu_type,
            hours=float(Decimal(job.hours)),
            epochs=fate["epochs"],
            price=to_usd(job.amount),
            doomed=bool(fate["doomed"]),
        )
        progress = observe(training, (self.clock.now() - job.sold_at) * self.settings.speed)
        answer = JobStatusAnswer(
            vendor_job_id=job.job_id,
            status=progress.status,
            progress=progress.fraction,
            logs=list(progress.logs),
            estimated_remaining_minutes=progress.remaining_minutes,
            cost_so_far=float(progress.cost),
            metrics=progress.metrics,
            final_metrics=progress.final_metrics,
            artifact_url=progress.artifact_url,
            error_message=progress.error_message,
        )
        return Answer(200, answer.model_dump(mode="json"))

    def source(self, vendor: Vendor, job_id: str, checkpoint: str, database: Database) -> tuple[list[str], str]:
        jobs = [job.job_id for job in database.jobs_with_work(vendor_id=vendor.vendor_id)]
        job_ids = [job_id, *(sibling for sibling in jobs if sibling != job_id)]
        return self.faults.bend_source(vendor.vendor_id, job_ids), BENT.get(checkpoint, checkpoint)

    def send_file(self, vendor: Vendor, file: FileAnswer) -> Response:
        return self.faults.send_file(vendor.vendor_id, file)

    def send(
        self, stage: str, vendor: Vendor, answer: Answer, fresh_402: Callable[[], Answer] | None = None
    ) -> Response:
        if fresh_402 is None:
            return self.faults.send(stage, vendor.vendor_id, answer)
        return self.faults.send(stage, vendor.vendor_id, answer, fresh_402=fresh_402)

    def _loses_node(self, job: Job) -> bool:
        """Whether this job's machine is to be lost: by the fault, or by what fails a simulated job."""
        return bool(json.loads(job.fate)["doomed"]) or self.faults.loses_node(job.vendor_id)

    def _is_doomed(self, vendor_id: str, job_id: str) -> bool:
        succeeds = self.overrides.next_outcome(vendor_id)
        if succeeds is not None:
            return not succeeds
        dice = random.Random(f"{self.settings.seed}:{job_id}:fate")  # noqa: S311
        return vendor_id == self.settings.fail_vendor_id or dice.random() < self.settings.fail_rate


def _epochs(job_params: Mapping[str, Any]) -> int:
    epochs = job_params.get("epochs")
    return epochs if type(epochs) is int and 1 <= epochs <= MAX_EPOCHS else DEFAULT_EPOCHS


def _lose_node(runner: Runner, job: Job) -> None:
    makes_checkpoints = read_order(job.job_order).workload.checkpoint is not None
    try:
        while makes_checkpoints and runner.state(job.job_id).phase != "ended":
            if runner.checkpoint(job.job_id):
                time.sleep(LISTED_S)  # in which a buyer may see it listed
                break
            time.sleep(LOOK_S)
        _kill(runner, job)
    except (RunnerError, OSError):
        return  # the vendor ends, and its jobs with it


def _kill(runner: Runner, job: Job) -> None:
    assert isinstance(runner, LocalRunner), "a machine is lost by killing the processes of a job"
    runner.kill(job.job_id)
