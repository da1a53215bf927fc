"""What one process knows of past jobs and of a wallet's day: its own saves at once, others' after KEPT_S."""

from dataclasses import replace

import pytest

from gpuagent.adapters.mongo import kept_past, kept_usage
from gpuagent.adapters.mongo.enforcement import Counted
from gpuagent.adapters.mongo.kept_usage import KeptUsage
from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.agent.plan import plan
from gpuagent.core.model import Run, Vendor
from gpuagent.core.months import TAG, MonthBudget
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports.store import TrackRecord
from gpuagent.core.transitions import apply
from tests.support.factories import RUN, TOKEN, VENDOR
from tests.support.run_states import STATES
from tests.support.world import World

LIMIT, PRICE = 50, 1_400_000
FAR_CAP = Policy(version=2, wallet_per_day=100_000_000)


class Monotonic:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def store(world: World, monotonic: Monotonic) -> MongoStore:
    """A process that turns its own clock."""
    store = world.another_store(monotonic)
    store.put_vendor(VENDOR, 1_000.0)
    return store


def saved(store: MongoStore, state: str, vendor: Vendor = VENDOR) -> Run:
    """A run of its own in that state, saved by the store."""
    run = replace(RUN, run_id=store.new_id())
    store.create(run)
    after = replace(STATES[state](), run_id=run.run_id)
    jobs = tuple(
        replace(job, job_id=store.new_id(), quote=replace(job.quote, vendor_id=vendor.vendor_id)) for job in after.jobs
    )
    return store.save(run, replace(after, jobs=jobs), [], 1_001.5)


def record(store: MongoStore, run: Run, limit: int = LIMIT) -> TrackRecord:
    return store.track_record(run, TOKEN.network, [VENDOR.vendor_id], 1_002.0, limit)


def of_database(store: MongoStore, run: Run, limit: int = LIMIT) -> list[object]:
    return [*store.past_jobs(run, TOKEN.network, [VENDOR.vendor_id], limit)]


@pytest.mark.parametrize("state", STATES)
def test_what_a_process_saves_it_knows_as_the_database_has_it(store: MongoStore, state: str) -> None:
    asking = replace(RUN, run_id=store.new_id())
    assert record(store, asking).past == []
    saved(store, state)
    assert record(store, asking).past == of_database(store, asking)


def test_a_job_that_ends_otherwise_than_was_read_is_known_as_it_ends(store: MongoStore) -> None:
    run = saved(store, "unpaid failed")
    asking = replace(RUN, run_id=store.new_id())
    assert record(store, asking).past == []
    voided = replace(STATES["failed for nothing"](), run_id=run.run_id, version=run.version)
    voided = replace(voided, jobs=(replace(voided.jobs[0], job_id=run.jobs[0].job_id),))
    store.save(run, voided, [], 1_003.0)
    assert [(job.succeeded, job.paid) for job in record(store, asking).past] == [(False, 0)]
    assert record(store, asking).past == of_database(store, asking)


def test_what_another_process_saves_is_known_after_a_while(
    world: World, store: MongoStore, monotonic: Monotonic
) -> None:
    asking = replace(RUN, run_id=store.new_id())
    assert record(store, asking).past == []
    saved(world.store, "completed")
    monotonic.at += kept_past.KEPT_S
    assert record(store, asking).past == []
    monotonic.at += 0.1
    assert [job.succeeded for job in record(store, asking).past] == [True]


def test_a_runs_own_jobs_are_left_out_and_the_newest_are_taken(world: World, store: MongoStore) -> None:
    runs = [saved(world.store, "dropped") for _ in range(4)]
    for run in runs:
        for limit in (1, 3, LIMIT):
            assert record(store, run, limit).past == of_database(store, run, limit)
    assert len(record(store, runs[0]).past) == 3


def test_where_too_few_others_were_kept_they_are_read(
    world: World, store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_past, "SPARE", 0)
    monkeypatch.setattr("gpuagent.adapters.mongo.track_records.SPARE", 0)
    runs = [saved(world.store, "dropped") for _ in range(3)]
    for run in runs:
        assert len(record(store, run, 2).past) == 2


def test_a_second_plan_within_seconds_reads_neither_past_jobs_nor_sums(world: World) -> None:
    world.finish(world.start())
    run, names = world.start(), [vendor.vendor_id for vendor in world.store.vendors()]
    rules, at, network = world.store.policy(), world.market.clock.now(), world.ports.wallet.token.network
    known = world.store.track_record(run, network, names, at, LIMIT, rules)
    read = world.another_store().track_record(run, network, names, at, LIMIT, rules)
    assert known == read
    assert (known.usage.wallet_day, len(known.past)) == (1_400_000, 1)


def test_the_wallets_day_is_known_for_seconds_and_far_from_its_cap_alone(monotonic: Monotonic) -> None:
    kept = KeptUsage(monotonic)

    def known(rules: Policy = FAR_CAP, run: Run = RUN, network: str = TOKEN.network, *unproven: str) -> Usage | None:
        return kept.of(run, network, ["gpu_vendor_1"], rules, unproven)

    def reserve(rules: Policy, wallet_day: int = 50_000_000) -> None:
        kept.reserved(RUN, Counted(rules, TOKEN.network, wallet_day))

    assert known() is None
    reserve(FAR_CAP)
    assert known() == Usage(50_000_000)
    assert known(run=replace(RUN, payer="0x" + "2" * 40)) is None
    assert known(network="eip155:8453") is None
    assert known(replace(FAR_CAP, version=3)) is None
    assert known(FAR_CAP, RUN, TOKEN.network, "gpu_vendor_1") is None
    monotonic.at += kept_usage.KEPT_S + 0.1
    assert known() is None
    reserve(FAR_CAP, 50_000_001)
    assert known() is None
    for more in (
        replace(FAR_CAP, wallet_per_day=None),
        replace(FAR_CAP, vendor_per_day=10**9),
        replace(FAR_CAP, tag_totals={"x": 10**9}),
        replace(FAR_CAP, month_budgets=(MonthBudget(TAG, "x", 10**9),)),
    ):
        reserve(more)
        assert known(more, replace(RUN, tags=("x",))) is None


def test_a_cap_that_another_process_fills_meanwhile_holds(world: World, monotonic: Monotonic) -> None:
    """The plan is told of what this process knows; the reservation is held against what there is."""
    world.agent = replace(world.agent, ports=replace(world.ports, store=world.another_store(monotonic)))
    world.allow(wallet_per_day=10 * PRICE)
    other = world.another_store()
    world.finish(world.start())
    for _ in range(9):
        run = world.start()
        other.save(run, apply(run, plan(run, world.ports)), [], world.market.clock.now())
    run = world.tick(world.start())
    assert run.jobs == ()
    (wait,) = world.observations(run, "agent_reasoning")
    assert wait["content"].count("not reserved: 1.40 USD would exceed the cap of 14.00 USD (wallet per day)") == 1
    assert world.usage(run).wallet_day == 10 * PRICE
