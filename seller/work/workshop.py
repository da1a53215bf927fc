"""The workshop: where ordered workloads are run. It holds inputs, the values of secrets, and the runner."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from seller.database import Database
from seller.locks import Lock
from seller.records import Job
from seller.runners import JobOrder, Runner, RunnerError, UnknownJob
from seller.work.inputs import Bounds, InputStore
from seller.work.order import read_order
from seller.work.secrets import OwnSecrets, SecretsStore
from seller.work.workload import WorkOrder

SECRETS_LOST = "the values of its secrets were lost when the vendor was restarted, and are stored nowhere: it never ran"
CANCELLED = "the buyer cancelled it"
logger = logging.getLogger(__name__)


class Workshop:
    """Runs each job once. Secrets are in memory alone, from the paid order until the job has them.

    queues: jobs are started when there is a slot for them, by a dispatcher; else as soon as they are paid for.
    secrets, inputs_lock: of all processes that run jobs in this folder, of this one alone by default.
    """

    def __init__(
        self,
        database: Database,
        runner: Runner,
        folder: Path,
        vendor_ids: Iterable[str],
        bounds: Bounds | None = None,
        queues: bool = False,
        secrets: SecretsStore | None = None,
        inputs_lock: Lock | None = None,
    ) -> None:
        self.runner, self.queues = runner, queues
        self._database = database
        self._secrets = secrets or OwnSecrets()
        self._stores = {
            vendor_id: self._store(folder / vendor_id, vendor_id, bounds, inputs_lock) for vendor_id in vendor_ids
        }

    def inputs(self, vendor_id: str) -> InputStore:
        return self._stores[vendor_id]

    def sweep(self) -> None:
        """Deletes the inputs that are old, and that nothing needs."""
        for store in self._stores.values():
            store.sweep()

    def take_secrets(self, vendor_id: str, key: str, secrets: Mapping[str, str]) -> None:
        if secrets:
            self._secrets.put(vendor_id, key, secrets)

    def drop_secrets(self, vendor_id: str, key: str) -> None:
        self._secrets.drop(vendor_id, key)

    def start(self, job: Job) -> None:
        """Starts a job that waits, for the caller who holds its key. Without its secrets it goes on waiting."""
        if self._lacks_secrets(job):
            return
        order = read_order(job.job_order)
        try:
            self.runner.start(self._job_order(job, order, self._secrets.get(job.vendor_id, job.key)))
        except (RunnerError, OSError) as error:
            self._fail(job, f"it could not be started: {error}")
        else:
            self._database.mark_start(job.job_id, "started")
        self.drop_secrets(job.vendor_id, job.key)

    def settle_start(self, job: Job) -> None:
        """Decides, for the caller who holds its key, about a job that waits: one whose secrets are lost fails."""
        if self._lacks_secrets(job):
            self._fail(job, SECRETS_LOST)
        elif not self.queues:
            self.start(job)

    def take_up(self) -> None:
        """Starts what was paid for when the vendor was killed, and needs no secrets."""
        for job in self._database.jobs_with_work("waiting"):
            self.start(job)

    def cancel(self, job: Job) -> None:
        """Ends a job, for the caller who holds its key."""
        if job.start == "waiting" and not self._has_started(job):
            self._fail(job, CANCELLED)
            self.drop_secrets(job.vendor_id, job.key)
        elif job.start in ("waiting", "started") and self.runner.state(job.job_id).phase != "ended":
            self.runner.stop(job.job_id, CANCELLED)

    def _fail(self, job: Job, reason: str) -> None:
        """Notes that a job never ran. What was laid out for it goes before that, so that a kill leaves none of it."""
        try:
            self.runner.forget(job.job_id)
        except UnknownJob:
            pass  # nothing was laid out
        except (RunnerError, OSError) as error:
            logger.warning("what was laid out for %s is not deleted: %s", job.job_id, error)
        self._database.mark_start(job.job_id, "failed", reason)

    def _store(self, folder: Path, vendor_id: str, bounds: Bounds | None, lock: Lock | None) -> InputStore:
        def needed() -> set[tuple[str, str]]:
            orders = self._database.orders_ahead(vendor_id)
            return {(key, sha256) for key, order in orders for sha256 in read_order(order).needed}

        return InputStore(folder, bounds, needed=needed, lock=lock)

    def _lacks_secrets(self, job: Job) -> bool:
        needed = set(read_order(job.job_order).workload.secrets)
        if not needed or not needed - set(self._secrets.get(job.vendor_id, job.key)):
            return False
        return not self._has_started(job)

    def _has_started(self, job: Job) -> bool:
        try:
            return self.runner.state(job.job_id).phase != "queued"
        except RunnerError:
            return False

    def _job_order(self, job: Job, order: WorkOrder, secrets: Mapping[str, str]) -> JobOrder:
        work = order.workload
        return JobOrder(
            job_id=job.job_id,
            image=work.image,
            command=work.command,
            duration_s=float(job.hours) * 3600,
            setup=work.setup,
            env=work.env,
            secrets={name: secrets[name] for name in work.secrets if name in secrets},
            inputs=self._paths(job, order.inputs),
            resume=self._paths(job, order.checkpoint),
            outputs=[output.path for output in work.outputs],
            checkpoint=work.checkpoint.path if work.checkpoint else "",
        )

    def _paths(self, job: Job, files: Mapping[str, str]) -> dict[str, Path]:
        store = self._stores[job.vendor_id]
        return {path: store.location(job.key, sha256) for path, sha256 in files.items()}
