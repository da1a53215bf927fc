"""`make bench-report N=100000`: reports, exports and lists over a history of N runs, beside their floors in one run.

A report's floor is the one `$group` by day, vendor, GPU and status over the same jobs; a list's is the same list over
SMALL runs. Every format is written by a process of its own, whose memory the operating system gives. Prints a table,
and writes benchmarks/out/report.json; asserts none.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pymongo

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.core.run_list import RunFilter
from gpuagent.reports import exports
from gpuagent.reports.report import make_report
from gpuagent.reports.request import ReportRequest
from gpuagent.wiring.database import Database
from gpuagent.wiring.embedded import start_mongod
from tests.support import big_history
from tests.support.factories import TOKEN
from tests.support.report_history import seconds

SMALL = 100
ROUNDS = 7
OUT = Path(__file__).parent / "out" / "report.json"
DAY = {"$dateTrunc": {"date": "$settledAt", "unit": "day"}}
FLOOR = {
    "$group": {
        "_id": {"day": DAY, "vendor": "$vendorId", "gpu": "$jobParams.gpuType", "status": "$status"},
        "cost": {"$sum": "$actualCost"},
        "jobs": {"$sum": 1},
    }
}
LISTS: dict[str, Callable[[Database, str], Any]] = {
    "run list": lambda db, _: db.reads.runs(20),
    "REST list": lambda db, _: db.reads.run_page(limit=20),
    "REST list of a user": lambda db, _: db.reads.run_page(RunFilter(user="ada")),
    "console's first run": lambda db, run_id: db.reads.glance(run_id, _console_filter()),
}


def _console_filter() -> Any:
    """What the console shows first; its widgets are not loaded by the processes that are measured."""
    from gpuagent.panels.event_log import FILTERS

    return FILTERS["Everything"]


def export(form: str, uri: str, name: str, folder: str) -> None:
    """What the process of one format does."""
    connection = Connection(uri, name)
    report = make_report(ReportRequest("all"), Database(connection), TOKEN.network, seconds(big_history.UNTIL))
    exports.write(report, form, Path(folder) / form)
    connection.close()


def measured(form: str, uri: str, name: str) -> dict[str, Any]:
    """Seconds and peak resident memory of a process that writes the format."""
    with TemporaryDirectory() as folder:
        started_at = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.report", "write", form, uri, name, folder])
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, form
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    unit = 1 if platform.system() == "Darwin" else 1024
    return {
        "seconds": round(time.perf_counter() - started_at, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "rss_mb": usage.ru_maxrss * unit // 2**20,
        "bytes": size,
    }


def listed(read: Callable[[Database, str], Any], db: Database, run_id: str) -> float:
    """Median milliseconds."""
    times = []
    for _ in range(ROUNDS):
        started_at = time.perf_counter()
        read(db, run_id)
        times.append((time.perf_counter() - started_at) * 1000)
    return median(times)


def main(count: int) -> None:
    say = sys.stdout.write
    figures: dict[str, Any] = {"runs": count, "python": platform.python_version(), "pymongo": pymongo.version}
    figures |= {"machine": platform.platform(), "cores": os.cpu_count(), "formats": {}, "lists": {}}
    with start_mongod(None) as server:
        connections = {name: Connection(server.uri, name) for name in ("big", "small")}
        for name, runs in (("big", count), ("small", SMALL)):
            big_history.write(connections[name].database, runs)
        say(f"{count:,} runs; Python {figures['python']}, {figures['cores']} cores, {figures['machine']}\n\n")
        started_at = time.perf_counter()
        groups = len(list(connections["big"].database.jobs.aggregate([FLOOR])))
        floor = figures["floor_s"] = round(time.perf_counter() - started_at, 2)
        say(
            f"floor: one $group, {groups:,} groups  {floor} s\n\n"
            "format       seconds   of floor   CPU s   RSS MB       bytes\n"
        )
        for title in ("html", "html again", *exports.FORMATS[1:]):
            row = figures["formats"][title] = measured(title.split()[0], server.uri, "big")
            say(f"{title:10}{row['seconds']:10.1f}{row['seconds'] / floor:11.1f}{row['cpu_s']:8.1f}{row['rss_mb']:9}")
            say(f"{row['bytes']:12,}\n")
        say(f"\nlist                       ms   of {SMALL} runs\n")
        for title, read in LISTS.items():
            times = {}
            for name, connection in connections.items():
                db = Database(connection)
                times[name] = listed(read, db, str(db.reads.runs(1)[0]["_id"]))
            figures["lists"][title] = {**times, "ratio": round(times["big"] / times["small"], 2)}
            say(f"{title:22}{times['big']:7.1f}{times['big'] / times['small']:12.2f}\n")
        for connection in connections.values():
            connection.close()
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        export(*sys.argv[2:])
    else:
        main(int(sys.argv[1]))
