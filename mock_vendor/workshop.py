"""The workshop: where ordered workloads are run for real. It holds inputs, the values of secrets, and the runner."""

import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from mock_vendor.database import Database, Job
from mock_vendor.errors import BadSetting
from mock_vendor.settings import Sandbox, Settings
from mock_vendor.work_order import read_order
from seller.inputs import InputStore
from seller.runners import JobOrder, RunnerError
from seller.runners.process import ProcessRunner
from seller.workload import WorkOrder

SECRETS_LOST = "the values of its secrets were lost when the vendor was restarted, and are stored nowhere: it never ran"
CANCELLED = "the buyer cancelled it"
logger = logging.getLogger(__name__)


class Workshop:
    """Runs each job once. Secrets are in memory alone, from the paid order until the job has them."""

    def __init__(self, database: Database, runner: ProcessRunner, folder: Path, vendor_ids: Iterable[str]) -> None:
        self.runner = runner
        self._database = database
        self._stores = {vendor_id: self._store(folder / vendor_id, vendor_id) for vendor_id in vendor_ids}
        self._secrets: dict[tuple[str, str], Mapping[str, str]] = {}
        self._lock = threading.Lock()

    def inputs(self, vendor_id: str) -> InputStore:
        return self._stores[vendor_id]

    def take_secrets(self, vendor_id: str, key: str, secrets: Mapping[str, str]) -> None:
        if secrets:
            with self._lock:
                self._secrets[vendor_id, key] = secrets

    def drop_secrets(self, vendor_id: str, key: str) -> None:
        with self._lock:
            self._secrets.pop((vendor_id, key), None)

    def start(self, job: Job) -> None:
        """Starts a job that waits, for the caller who holds its key. Without its secrets it goes on waiting."""
        order = read_order(job.job_order)
        secrets = self._secrets.get((job.vendor_id, job.key), {})
        if set(order.workload.secrets) - set(secrets) and not self._has_started(job):
            return
        try:
            self.runner.start(self._job_order(job, order, secrets))
        except (RunnerError, OSError) as error:
            self._database.mark_start(job.job_id, "failed", f"it could not be started: {error}")
        else:
            self._database.mark_start(job.job_id, "started")
        self.drop_secrets(job.vendor_id, job.key)

    def settle_start(self, job: Job) -> None:
        """As start(), for the last time: a job whose secrets are lost fails."""
        self.start(job)
        current = self._database.job(job.vendor_id, job.job_id)
        if current and current.start == "waiting":
            self._database.mark_start(job.job_id, "failed", SECRETS_LOST)

    def take_up(self) -> None:
        """Starts what was paid for when the vendor was killed, and needs no secrets."""
        for vendor_id in self._stores:
            for job in self._database.jobs_with_work(vendor_id):
                if job.start == "waiting":
                    self.start(job)

    def _store(self, folder: Path, vendor_id: str) -> InputStore:
        def needed() -> set[str]:
            orders = self._database.orders_ahead(vendor_id)
            return {sha256 for order in orders for sha256 in read_order(order).needed}

        return InputStore(folder, needed=needed)

    def _has_started(self, job: Job) -> bool:
        try:
            return self.runner.state(job.job_id).phase != "queued"
        except RunnerError:
            return False

    def _job_order(self, job: Job, order: WorkOrder, secrets: Mapping[str, str]) -> JobOrder:
        work = order.workload
        return JobOrder(
            job_id=job.job_id,
            command=work.command,
            duration_s=float(job.hours) * 3600,
            setup=work.setup,
            env=work.env,
            secrets={name: secrets[name] for name in work.secrets if name in secrets},
            inputs=self._paths(job.vendor_id, order.inputs),
            resume=self._paths(job.vendor_id, order.checkpoint),
            outputs=[output.path for output in work.outputs],
            checkpoint=work.checkpoint.path if work.checkpoint else "",
        )

    def _paths(self, vendor_id: str, files: Mapping[str, str]) -> dict[str, Path]:
        store = self._stores[vendor_id]
        return {path: store.location(sha256) for path, sha256 in files.items()}


def open_runner(settings: Settings, folder: Path) -> tuple[ProcessRunner, tuple[str, ...]]:
    """The runner, and what is to be said about it. Raises BadSetting where the sandbox is required and not there."""
    sandboxed, notices = settings.sandbox is not Sandbox.NONE, ()
    if sandboxed:
        try:
            return ProcessRunner(folder, outlive=settings.keep_jobs), notices
        except RunnerError as error:
            if settings.sandbox is Sandbox.REQUIRED:
                raise BadSetting(f"MOCK_SANDBOX=required: {error}") from None
            notice = f"jobs run with the rights of this user, without a sandbox: {error}"
    else:
        notice = "jobs run with the rights of this user, without a sandbox: MOCK_SANDBOX=none"
    logger.warning(notice)
    return ProcessRunner(folder, sandbox=False, outlive=settings.keep_jobs), (notice,)
