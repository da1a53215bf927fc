"""What one tick reads of the database at once, and when it reads it again."""

from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent.readings import READING_S
from gpuagent.agent.tick_store import TickStore
from gpuagent.core.model import Run, Vendor
from gpuagent.core.policy import Policy
from gpuagent.core.ports import Standing
from tests.support.factories import RUN, VENDOR


class Database:
    """It is the agent's clock too, ten seconds behind its own. reads: of everything together."""

    def __init__(self) -> None:
        self.at, self.reads, self.version = 1_000.0, 0, 1
        self.saved: Run = RUN

    def now(self) -> float:
        return self.at

    def standing(self, run_id: str) -> Standing:
        self.reads += 1
        policy, vendor = Policy(version=self.version), VENDOR

        def vendors() -> tuple[Vendor, ...]:
            return (vendor,)

        return Standing(self.saved, self.at + 10, lambda: policy, vendors)


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


def test_a_load_reads_anew_and_so_does_a_clock_that_is_set_back(database: Database) -> None:
    store = loaded(database)
    database.version, database.saved = 2, replace(RUN, version=7)
    assert store.load(RUN.run_id).version == 7
    assert store.policy().version == 2
    database.version, database.at = 3, database.at - 1
    assert store.policy().version == 3
