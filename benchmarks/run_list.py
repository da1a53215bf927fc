"""`python -m benchmarks.run_list [RUNS]`: the run table's pages over so many runs, 10,000 unless given.

Prints the median and the slowest of ROUNDS reads of a page of 25 with its count, in milliseconds; asserts none.
"""

import sys
import time
from collections.abc import Mapping
from statistics import median

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.core.run_list import RunFilter, RunPage, RunSort, SortField
from gpuagent.errors import StoreError
from gpuagent.wiring.database import Database
from gpuagent.wiring.embedded import start_mongod
from tests.support import big_history

ROUNDS, PAGE = 7, 25
NEWEST = RunSort()
PAGES: Mapping[str, tuple[RunFilter, RunSort]] = {
    "all, newest first": (RunFilter(), NEWEST),
    "by status": (RunFilter(status="failed"), NEWEST),
    "by user and tag": (RunFilter(user="ada", tag="nightly"), NEWEST),
    "by a common vendor": (RunFilter(vendor="gpu_vendor_3"), NEWEST),
    "by a vendor without jobs": (RunFilter(vendor="none"), NEWEST),
    "by vendor, status and user": (RunFilter(vendor="gpu_vendor_3", status="failed", user="ada"), NEWEST),
    "by a word in one goal": (RunFilter(text="4321"), NEWEST),
    "by a word in every goal": (RunFilter(text="goal"), NEWEST),
    "by the beginning of an id": (RunFilter(text="6b0"), NEWEST),
    "most spent": (RunFilter(), RunSort(SortField.SPENT)),
    "least spent of a user": (RunFilter(user="ada"), RunSort(SortField.SPENT, ascending=True)),
}


def read(db: Database, where: RunFilter, sort: RunSort, before: str = "") -> tuple[RunPage, float]:
    """The page, and the milliseconds that it took."""
    started_at = time.perf_counter()
    page = db.reads.run_page(where, sort, PAGE, before, counted=True)
    return page, (time.perf_counter() - started_at) * 1000


def main(count: int) -> None:
    with start_mongod(None) as server:
        connection = Connection(server.uri, "lists")
        big_history.write(connection.database, count)
        db = Database(connection)
        sys.stdout.write(f"{count:,} runs, a page of {PAGE} with its count, ms\n{'':30}median   slowest  matches\n")
        for title, (where, sort) in PAGES.items():
            try:
                reads = [read(db, where, sort) for _ in range(ROUNDS)]
            except StoreError as error:
                sys.stdout.write(f"{title:28}{error}\n")
                continue
            times = [duration for _, duration in reads]
            sys.stdout.write(f"{title:28}{median(times):8.1f}{max(times):10.1f}  {reads[0][0].count_text}\n")
        page, durations = RunPage([], ""), []
        for _ in range(100):
            page, duration = read(db, RunFilter(), NEWEST, page.next)
            durations.append(duration)
        sys.stdout.write(f"{'100 pages, one by one':28}{median(durations):8.1f}{max(durations):10.1f}\n")
        connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
