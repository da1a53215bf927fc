"""The dispatcher: it starts paid jobs when there is a slot, notes their ends, and deletes what is kept no longer.

All it does follows from the database, so that one that was killed is replaced by the next.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seller.events import event
from seller.folders import folder_bytes
from seller.records import Job, Purchase
from seller.runners import JobState, RunnerError, UnknownJob
from seller.sale import confirm, recover
from seller.shop import DISK_FULL, NO_GAS, Shop

STEP_S = 0.5
TIDY_S = 60.0
LOOK_S = 30.0
"""Between looks for the transfers of new sales: one that was taken back is settled again while its payment is valid."""
UNDECIDED_S = 30.0
"""After this a purchase that was left settling is decided without its buyer."""
QUOTES_KEPT_S = 3600.0
"""How long a quote that expired unbought is kept, to say so to its buyer."""
SECRETS_WAIT_S = 900.0
"""How long a paid job waits for its buyer to send the secrets again that a restart has lost."""
FOLDER_LOST = "its folder is gone from the seller's disk"
logger = logging.getLogger(__name__)


class Dispatcher:
    """Bounds of what is kept. keep_s: seconds from a job's end. disk: bytes in the folder above which nothing is sold.

    drained: called where the seller drains, and nothing waits or runs any more.
    """

    def __init__(self, shop: Shop, folder: Path, keep_s: float, disk: int, drained: Callable[[], None]) -> None:
        self._shop, self._folder, self._keep_s, self._disk, self._drained = shop, folder, keep_s, disk, drained
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher")
        self._tidied_at, self._looked_at, self.is_drained = 0.0, 0.0, False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; jobs go on."""
        self._stopping.set()
        self._thread.join()

    def step(self) -> None:
        """Everything that is due now."""
        self._note_ends()
        self._recover()
        self._start_waiting()
        if self._shop.closing.drain:
            self._drain()
        now = self._shop.clock.now()
        if is_due(self._looked_at, LOOK_S, now):
            self._looked_at = now
            self._decide(self._shop.database.to_look_at(), confirm)
        if is_due(self._tidied_at, TIDY_S, now):
            self._tidied_at = now
            self._tidy(now)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except Exception:  # the next step may go well, and a seller without a dispatcher runs nothing
                logger.exception("a step of the dispatcher failed")
            self._stopping.wait(STEP_S)

    def _note_ends(self) -> None:
        for job in self._shop.database.jobs_with_work("started"):
            with _noted(job.job_id):
                self._note_end(job)

    def _note_end(self, job: Job) -> None:
        try:
            state = self._shop.workshop.runner.state(job.job_id)
        except UnknownJob:
            state = JobState("ended", None, FOLDER_LOST)
        if state.phase == "ended":
            ended_at = state.ended_at or self._shop.clock.now()
            self._shop.database.mark_end(job.job_id, state.exit_code, state.reason, ended_at)
            event(logger, "job ended", job=job.job_id, exitCode=state.exit_code, reason=state.reason)
        if state.reason == FOLDER_LOST:
            self._shop.database.mark_forgotten(job.job_id)

    def _recover(self) -> None:
        now = self._shop.clock.now()
        settling = self._shop.database.settling()
        self._decide([each for each in settling if is_due(each.begun_at, UNDECIDED_S, now)], recover)

    def _decide(self, purchases: list[Purchase], decide: Callable[[Shop, Purchase], None]) -> None:
        for purchase in purchases:
            with _noted(purchase.quote_id), self._shop.locks.hold(purchase.vendor_id, purchase.key):
                current = self._shop.database.purchase(purchase.vendor_id, purchase.key)
                if current == purchase:
                    decide(self._shop, purchase)

    def _start_waiting(self) -> None:
        busy = Counter(job.gpu_type for job in self._shop.database.jobs_with_work("started"))
        for job in self._shop.database.jobs_with_work("waiting"):
            offer = self._shop.vendors[job.vendor_id].offers.get(job.gpu_type)
            if offer and offer.count is not None and busy[job.gpu_type] >= offer.count:
                continue
            with _noted(job.job_id), self._shop.locks.hold(job.vendor_id, job.key):
                busy[job.gpu_type] += self._start(job)

    def _start(self, waiting: Job) -> bool:
        """Whether the job has a slot now, for the caller who holds its key."""
        shop = self._shop
        job = shop.database.job(waiting.vendor_id, waiting.job_id)
        if not job or job.start != "waiting":
            return False
        shop.workshop.start(job)
        job = shop.database.job(job.vendor_id, job.job_id) or job
        if job.start == "waiting" and self._is_past(job.sold_at + SECRETS_WAIT_S):
            shop.workshop.settle_start(job)
        if job.start == "started":
            shop.conduct.begin(job, shop.workshop.runner)
        event(logger, f"job {job.start}", job=job.job_id, gpu=job.gpu_type, reason=job.failure)
        return job.start == "started"

    def _is_past(self, at: float) -> bool:
        """Whether a time is over by this machine's clock, and by the chain's, which is asked only then.

        What was paid for is not given up by a clock that was set ahead.
        """
        if at > self._shop.clock.now():
            return False
        chain_time = self._shop.till.now()
        return chain_time is not None and at <= chain_time

    def _drain(self) -> None:
        if self.is_drained or not self._shop.database.is_at_rest():
            return
        self.is_drained = True
        event(logger, "drained", folder=str(self._folder))
        self._drained()

    def _tidy(self, now: float) -> None:
        shop = self._shop
        shop.database.drop_quotes(now - QUOTES_KEPT_S)
        shop.workshop.sweep()
        for job in shop.database.jobs_with_work("ended"):
            if not self._is_past((job.ended_at or now) + self._keep_s):
                continue
            try:
                shop.workshop.runner.forget(job.job_id)
            except UnknownJob:
                pass  # deleted before, and not noted
            except RunnerError as error:
                logger.warning("the files of %s are not deleted: %s", job.job_id, error)
                continue
            shop.database.mark_forgotten(job.job_id)
            event(logger, "job forgotten", job=job.job_id)
        is_full, gas_problem = folder_bytes(self._folder) > self._disk, shop.till.gas_problem()
        if gas_problem:
            logger.warning("nothing can be settled, and nothing is sold: %s", gas_problem)
        shop.closing.shut[0] = DISK_FULL if is_full else NO_GAS if gas_problem else 0


def is_due(last: float, every_s: float, now: float) -> bool:
    """Whether so many seconds have passed since the last time; so it is at once where the clock was set back."""
    return not last <= now < last + every_s


@contextmanager
def _noted(name: str) -> Iterator[None]:
    """Logs what goes wrong with one job or purchase: the next has been paid for too."""
    try:
        yield
    except Exception:
        logger.exception("a step of %s failed, and is tried again", name)
