"""The most that counts against a wallet's day is never less than what counts, whoever reserves, and is not added up."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.adapters.mongo.values import amount, money
from gpuagent.adapters.mongo.wallet_day import KEPT_S, added_up, growth, increments
from gpuagent.core.model import Run
from gpuagent.core.policy import DAY_S
from gpuagent.errors import PolicyRefused
from tests.support.factories import PAYER, RUN, TOKEN, VENDOR
from tests.support.profiler import profiled
from tests.support.run_states import STATES
from tests.support.world import World

PRICE, OTHER = 1_400_000, "0x" + "9" * 40
KEY = f"reserved.{TOKEN.network} {PAYER}"


@dataclass
class Ledger:
    """A wallet's jobs, and the policy's document, as saves would leave them. Jobs: amount, and when it settled."""

    policy: dict[str, Any] = field(default_factory=lambda: {"_id": ObjectId()})
    jobs: list[list[Any]] = field(default_factory=list)
    now: float = 10 * DAY_S

    def counts(self, at: float) -> int:
        """The plain sum."""
        return sum(units for units, settled_at in self.jobs if settled_at is None or settled_at >= at - DAY_S)

    def reserve(self, units: int, payer: str = PAYER) -> None:
        for path, more in increments(payer, {TOKEN.network: units}).items():
            *parents, name = path.split(".", 1)
            target = self.policy.setdefault(parents[0], {}) if parents else self.policy
            is_money = bool(parents)
            before = amount(target[name]) if is_money and name in target else target.get(name, 0)
            target[name] = money(before + amount(more)) if is_money else before + more
        if payer == PAYER:
            self.jobs.append([units, None])

    def end(self, place: int, settles: bool) -> None:
        held = [job for job in self.jobs if job[1] is None]
        if held:
            job = held[place % len(held)]
            job[1] = self.now if settles else float("-inf")


STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 10**8)),
    st.tuples(st.just("reserve for another"), st.integers(1, 10**8)),
    st.tuples(st.just("reserve as earlier versions do"), st.integers(1, 10**8)),
    st.tuples(st.just("settle"), st.integers(0, 9)),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("pass"), st.floats(0, DAY_S)),
    st.tuples(st.just("change the policy"), st.just(0)),
)


@given(st.lists(STEPS, max_size=12), st.lists(STEPS, max_size=12), st.floats(-200, 60))
def test_it_is_never_less_than_the_plain_sum(before: list[Any], since: list[Any], sooner: float) -> None:
    """Whatever is saved before and after a sum was added up, and by whichever of several clocks."""
    ledger, day = Ledger(), None
    for number, (name, value) in enumerate((*before, ("add up", 0), *since)):
        match name:
            case "reserve":
                ledger.reserve(value)
            case "reserve for another":
                ledger.reserve(value, OTHER)
            case "reserve as earlier versions do":
                ledger.policy["reservations"] = ledger.policy.get("reservations", 0) + 1
                ledger.jobs.append([value, None])
            case "settle" | "void":
                ledger.end(value, name == "settle")
            case "pass":
                ledger.now += value if number < len(before) else value / DAY_S * KEPT_S / 4
            case "change the policy":
                ledger.policy = {"_id": ObjectId()}
            case _:
                early = ledger.now - 300
                day = added_up(ledger.counts(early), ledger.policy, TOKEN.network, PAYER, early)
    assert day
    at = ledger.now + sooner
    most = day.most(ledger.policy, TOKEN.network, PAYER, at)
    legible = {"reserve", "reserve for another", "settle", "void"}
    assert most is not None or not legible.issuperset(name for name, _ in since)
    assert most is None or most >= ledger.counts(at)
    assert day.most(ledger.policy, TOKEN.network, PAYER, day.early - 1) is None, "that day may begin with more"
    assert day.most(ledger.policy, TOKEN.network, PAYER, day.early + KEPT_S + 1) is None


@pytest.fixture
def store(world: World) -> MongoStore:
    world.store.put_vendor(VENDOR, 1_000.0)
    return world.store


def run_in(store: MongoStore, state: str) -> tuple[Run, Run]:
    """A run of the wallet PAYER as it was started, and as it is in that state, which is not saved."""
    run = replace(RUN, run_id=store.new_id())
    store.create(run)
    after = replace(STATES[state](), run_id=run.run_id)
    return run, replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))


def save(world: World, store: MongoStore, state: str = "reserved") -> Run:
    return store.save(*run_in(store, state), [], world.market.clock.now())


@pytest.mark.parametrize("others", ["reservations", "adoption", "earlier version", "none"])
def test_what_others_add_counts(world: World, store: MongoStore, others: str) -> None:
    """A process that knows a sum of a moment ago is held against what is there."""
    world.allow(wallet_per_day=3 * PRICE)
    save(world, store)
    match others:
        case "reservations":
            save(world, world.another_store())
            save(world, world.another_store())
        case "adoption":  # the payment is on chain, and its job was never reserved here
            adopted = run_in(store, "owed")
            at = world.market.clock.now()
            settlement = replace(adopted[1].jobs[0].settlement, at=int(at))  # type: ignore[union-attr]
            job = replace(adopted[1].jobs[0], settlement=settlement)  # type: ignore[call-arg]
            world.another_store().save(adopted[0], replace(adopted[1], jobs=(job,)), [], at)
            save(world, store)
        case "earlier version":
            for _ in range(2):
                save(world, world.another_store())
            undo = {"$inc": {"totalled": -2, KEY: money(-2 * PRICE)}}
            store.connection.database.policies.update_one({"current": True}, undo)
        case "none":
            save(world, store)
            save(world, store)
    with pytest.raises(PolicyRefused, match=r"wallet per day\), of which 4\.20 USD are used"):
        save(world, store)


def test_what_was_released_since_refuses_nothing(world: World, store: MongoStore) -> None:
    """The most that can count is beyond the cap, what counts is not: it is added up."""
    world.allow(wallet_per_day=3 * PRICE)
    first, *_ = (save(world, store) for _ in range(3))
    save_next(world, store, first, "dropped")
    save(world, store)
    with pytest.raises(PolicyRefused, match=r"of which 4\.20 USD are used"):
        save(world, store)


def test_far_from_a_cap_no_job_is_read_for_it(world: World, store: MongoStore) -> None:
    world.allow(wallet_per_day=100 * PRICE)
    save(world, store)
    with profiled(store.connection.database) as profile:
        run = save(world, store)
        save_next(world, store, run, "authorized")
        reads = list(profile.find({"command.aggregate": "policies"}))
    assert len(reads) == 2, "the policy, and the vendor's record, for the reservation and for the signature"
    assert not [read for read in reads if "'from': 'jobs'" in str(read["command"])]


def save_next(world: World, store: MongoStore, run: Run, state: str) -> Run:
    """The run, whose job is in that state by now."""
    job = replace(STATES[state]().jobs[0], job_id=run.jobs[0].job_id)
    return store.save(run, replace(run, jobs=(job,)), [], world.market.clock.now())


def test_the_jobs_prove_the_running_total(world: World, store: MongoStore) -> None:
    """Under each policy it is the sum of what was reserved under it, whatever became of that."""
    dropped, signed, _ = (save(world, store) for _ in range(3))
    save_next(world, store, dropped, "dropped")
    world.allow(per_payment=None)
    save_next(world, store, signed, "authorized")
    save(world, world.another_store())
    database = store.connection.database
    by_version: list[Any] = [{"$group": {"_id": "$policyVersion", "reserved": {"$sum": "$expectedCost"}}}]
    proven = {group["_id"]: amount(group["reserved"]) for group in database.jobs.aggregate(by_version)}
    totals = {
        policy["version"]: amount(policy["reserved"][f"{TOKEN.network} {PAYER}"]) for policy in database.policies.find()
    }
    assert totals == proven == {1: 3 * PRICE, 2: PRICE}


def test_only_what_counts_anew_is_counted() -> None:
    run, reserved = RUN, STATES["reserved"]()
    assert growth(run, reserved) == {TOKEN.network: PRICE}
    for state in ("authorized", "owed", "completed", "dropped"):
        assert growth(reserved, STATES[state]()) == {}
    assert growth(STATES["dropped"](), STATES["owed"]()) == {TOKEN.network: PRICE}, "adopted"
    dearer = replace(reserved.jobs[0], quote=replace(reserved.jobs[0].quote, amount=2 * PRICE))
    assert growth(reserved, replace(reserved, jobs=(dearer,))) == {TOKEN.network: 2 * PRICE}
