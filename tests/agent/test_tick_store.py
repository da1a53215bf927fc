"""What one tick reads of the database at once, and when it reads it again."""

from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent.readings import READING_S
from gpuagent.agent.tick_store import TickStore
from gpuagent.core.model import Run, Vendor
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports.store import Standing, TrackRecord
from gpuagent.core.transitions import apply
from tests.support.factories import RUN, TOKEN, VENDOR
from tests.support.run_states import vendor_chosen


class Database:
    """It is the agent's clock too, ahead_s behind its own. reads: of everything together."""

    def __init__(self) -> None:
        self.ahead_s = 10.0
        self.at, self.reads, self.version = 1_000.0, 0, 1
        self.saved: Run = RUN

    def now(self) -> float:
        return self.at

    def usage(self, *_: object) -> Usage:
        return Usage(wallet_day=2)

    def track_record(self, *_: object) -> TrackRecord:
        return TrackRecord(Usage(wallet_day=1), ())

    def standing(self, run_id: str) -> Standing:
        self.reads += 1
        policy, vendor = Policy(version=self.version), VENDOR

        def vendors() -> tuple[Vendor, ...]:
            return (vendor,)

        return Standing(self.saved, round(self.at + self.ahead_s, 3), lambda: policy, vendors)


@pytest.fixture
def database() -> Database:
    return Database()


def loaded(database: Any) -> TickStore:
    store = TickStore(database, database)
    store.load(RUN.run_id)
    return store


def test_one_read_brings_all_for_seconds(database: Database) -> None:
    store = loaded(database)
    database.at, database.version = database.at + 2, 2
    assert (store.run, store.policy().version, store.vendors(), store.now()) == (RUN, 1, (VENDOR,), 1_012)
    assert database.reads == 1
    database.at += READING_S
    assert (store.policy().version, store.now()) == (2, 1_017)
    assert database.reads == 2


def test_its_time_is_in_whole_milliseconds_as_what_is_stored(database: Database) -> None:
    database.at, database.ahead_s = 1795930601.714, 10.301
    store = loaded(database)
    times = []
    for _ in range(100):
        database.at = round(database.at + 0.007, 3)
        times.append(store.now())
    assert times == [round(at, 3) for at in times]


def test_a_load_reads_anew_and_so_does_a_clock_that_is_set_back(database: Database) -> None:
    store = loaded(database)
    database.version, database.saved = 2, replace(RUN, version=7)
    assert store.load(RUN.run_id).version == 7
    assert store.policy().version == 2
    database.version, database.at = 3, database.at - 1
    assert store.policy().version == 3


def test_what_was_counted_for_a_survey_counts_for_the_job_that_came_of_it_alone(database: Database) -> None:
    store, one, other = loaded(database), "a" * 24, "b" * 24
    surveyed = 1
    asked = (TOKEN.network, ["seller", "rival"], database.at)
    assert store.track_record(RUN, *asked, 50).usage.wallet_day == surveyed
    run = apply(RUN, vendor_chosen(one, 1_000_000))

    def counted(
        run: Run = run, network: str = TOKEN.network, name: str = "seller", job: str = one, **rules: Policy
    ) -> bool:
        return store.usage(run, network, [name], database.at, job, **rules).wallet_day == surveyed

    assert counted()
    assert not counted(network="eip155:1")
    assert not counted(name="stranger")
    assert not counted(job=other)
    assert not counted(run=RUN)
    assert not counted(run=apply(replace(run, jobs_open_max=2), vendor_chosen(other, 1_000_000)))
    assert not counted(rules=Policy(version=2))
    database.at += READING_S + 1
    assert not counted(rules=Policy(version=1))
