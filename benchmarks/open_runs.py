"""Open runs, each with a paid job that its vendor runs: copies of one that was really bought."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from bson import ObjectId

from gpuagent.core.model import Run
from tests.support.world import World

AT_ONCE = 1000
AGE_S = 600
COPIED = ("runs", "jobs", "payments")


class Bought:
    """A run whose vendor runs its paid job, as the pattern of others."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.database = world.market.database(world.environment["MONGODB_DB_NAME"])
        self._rows = {name: list(self.database[name].find()) for name in COPIED}
        (job,) = self._rows["jobs"]
        self._vendor_id = job["vendorId"]
        self._answer = world.job_status(job["vendorJobId"]) | {"logs": []}
        self.remove_copies()
        assert run.jobs

    @contextmanager
    def cheap_vendor(self) -> Iterator["subprocess.Popen[str]"]:
        """A process that says of every job what the vendor says of the bought one, in that vendor's place."""
        command = [sys.executable, "-m", "benchmarks.poll_vendor"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as vendor:
            assert vendor.stdin
            assert vendor.stdout
            vendor.stdin.write(json.dumps(self._answer) + "\n")
            vendor.stdin.flush()
            endpoint = f"http://127.0.0.1:{int(vendor.stdout.readline())}"
            self.database.vendors.update_one({"vendorId": self._vendor_id}, {"$set": {"endpoint": endpoint}})
            yield vendor
            vendor.stdin.close()

    def remove_copies(self) -> None:
        self.world.market.empty(self.database.name, *COPIED, "leases")

    def copy(self, count: int, every_s: float) -> dict[str, float]:
        """So many copies, due one after the other over every_s from now. When each is due, Unix seconds."""
        began, due = datetime.now(UTC), dict[str, float]()
        for first in range(0, count, AT_ONCE):
            rows: dict[str, list[dict[str, Any]]] = {name: [] for name in (*COPIED, "leases")}
            for number in range(first, min(first + AT_ONCE, count)):
                due_at = began + timedelta(seconds=every_s * number / count)
                run_id = self._copy(rows)
                rows["leases"].append({"_id": run_id, "worker": "", "until": began, "dueAt": due_at})
                due[str(run_id)] = due_at.timestamp()
            for name, several in rows.items():
                self.database[name].insert_many(several, ordered=False)
        return due

    def _copy(self, rows: dict[str, list[dict[str, Any]]]) -> ObjectId:
        # Started a while ago: at those of the last minutes a dispatcher looks each time.
        started = int(time.time()) - AGE_S
        run_id, job_id = ObjectId(started.to_bytes(4, "big") + ObjectId().binary[4:]), ObjectId()
        (run,), (job,), (payment,) = (self._rows[name] for name in COPIED)
        rows["runs"].append(run | {"_id": run_id})
        rows["jobs"].append(job | {"_id": job_id, "runId": run_id, "vendorJobId": token_hex(16)})
        own = {"_id": ObjectId(), "runId": run_id, "jobId": job_id, "nonce": "0x" + token_hex(32)}
        rows["payments"].append(payment | own)
        return run_id
