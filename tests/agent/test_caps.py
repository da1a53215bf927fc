"""The owner's caps on the real database: no concurrency, crash or planner passes them, and they are used fully."""

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest

from gpuagent import settings, wiring
from gpuagent.adapters.mongo import enforcement
from gpuagent.adapters.mongo.schema import VERSION
from gpuagent.agent.approve import cancel
from gpuagent.agent.pay import authorize
from gpuagent.agent.plan import plan
from gpuagent.core.events import PaymentAuthorized
from gpuagent.core.model import Authorized, Cause, Quote, Reserved, Run, RunStatus, Settled, Vendor, Voided
from gpuagent.core.money import UNIT
from gpuagent.core.policy import EVERY_WALLET, Halt, Usage
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.transitions import apply
from gpuagent.errors import BadInput, PolicyRefused
from gpuagent.tick import step
from tests.conftest import DATABASE, SafetyNote
from tests.support.clock import TurnableClock, turned
from tests.support.world import World

PRICE = 1_400_000
"""What gpu_vendor_1, the cheapest, asks for an hour."""


def paid(run: Run) -> list[str]:
    return [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)]


@pytest.mark.safety("runs race for one cap on the wallet's day")
def test_race_on_the_wallets_day(world: World, safety_note: SafetyNote) -> None:
    """Twelve runs, a cap for four, three tickers a run: four buy, at no moment is more held and settled."""
    cap = 4 * PRICE + PRICE // 2
    world.allow(wallet_per_day=cap)
    runs = [world.start(vendor_ids=("gpu_vendor_1",)) for _ in range(12)]
    tickers = 3 * len(runs)
    together = Barrier(tickers)

    def tick(number: int) -> int:
        together.wait()
        run = world.tick(runs[number % len(runs)])
        return world.usage(run).wallet_day

    with ThreadPoolExecutor(tickers) as pool:
        results = list(pool.map(tick, range(tickers)))
    assert max(results) <= cap
    assert world.usage(runs[0]).wallet_day == 4 * PRICE
    while any(world.store.load(run.run_id).status is RunStatus.RUNNING for run in runs):
        world.market.pass_time(300)
        for run in runs:
            world.tick(run)
    ended = [world.store.load(run.run_id) for run in runs]
    assert sum(run.status is RunStatus.COMPLETED for run in ended) == 4
    assert all("cap of 6.30 USD (wallet per day)" in run.reason for run in ended if not run.jobs)
    assert len(world.transfers()) == 4
    safety_note(
        f"12 runs, {tickers} tickers at once, a cap for 4: 4 paid, and never more held and settled than the cap"
    )


def test_a_day_later_the_wallet_may_pay_again(world: World) -> None:
    world.allow(wallet_per_day=PRICE)
    first = world.finish(world.start())
    second = world.tick(world.start())
    assert second.jobs == ()
    world.market.pass_time(24 * 3600)
    second = world.finish(second)
    assert [paid(first), paid(second)] == [["gpu_vendor_1"]] * 2
    assert len(world.transfers()) == 2


def test_a_vendors_day_is_over_all_runs_and_the_next_vendor_is_paid(world: World) -> None:
    world.allow(vendor_per_day=2 * PRICE)
    runs = [world.finish(world.start()) for _ in range(3)]
    assert [paid(run) for run in runs] == [["gpu_vendor_1"], ["gpu_vendor_1"], ["gpu_vendor_2"]]


def test_a_vendors_share_of_one_run(world: World) -> None:
    world.allow(vendor_per_run=2 * PRICE - 1)
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    assert paid(run) == ["gpu_vendor_1"]
    assert "(vendor per run), of which 1.40 USD are used" in run.reason
    world.assert_balanced(run, transfers=1)


@pytest.mark.safety("a cap on a tag, over all its runs")
def test_a_tag_counts_over_all_its_runs_and_no_day_lifts_it(world: World, safety_note: SafetyNote) -> None:
    world.allow(tag_totals={"alpha": PRICE})
    first = world.finish(world.start(tags=("beta", "alpha")))
    world.market.pass_time(25 * 3600)
    second = world.tick(world.start(tags=("alpha",)))
    untagged = world.finish(world.start(tags=("beta",)))
    assert (paid(first), second.jobs, paid(untagged)) == (["gpu_vendor_1"], (), ["gpu_vendor_1"])
    (reasoning,) = world.observations(second, "agent_reasoning")
    assert "would exceed the cap of 1.40 USD (tag alpha), of which 1.40 USD are used" in reasoning["content"]
    safety_note("a second run with the tag is refused, a day later too; one with another tag is paid")


@pytest.mark.safety("a cap on a tag, while its budget is only held")
def test_what_is_held_counts_against_every_cap_as_what_is_settled(world: World, safety_note: SafetyNote) -> None:
    """Reserved, authorized, settled: the same sums, on the run's network alone."""
    world.allow(tag_totals={"alpha": PRICE}, vendor_per_day=2 * PRICE)
    world.market.fault("gpu_vendor_1", "settle_late")
    run, tagged = world.start(tags=("alpha",)), world.start(tags=("alpha",))
    assert world.usage(run, "gpu_vendor_1") == Usage()
    used = Usage(PRICE, {"gpu_vendor_1": PRICE}, {"alpha": PRICE})
    for state in (Reserved, Authorized, Authorized):
        run = step(run.run_id, world.ports)
        assert isinstance(run.jobs[0], state)
        assert world.usage(run, "gpu_vendor_1") == used
        assert world.tick(tagged).jobs == ()
    assert world.store.usage(run, "eip155:8453", ["gpu_vendor_1"], world.market.clock.now()) == Usage()
    world.market.control("POST", "settle")
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    assert world.usage(run, "gpu_vendor_1") == used
    safety_note("a second run with the tag is refused while the first is reserved, authorized and settled")


def test_a_cap_on_one_payment_ends_the_run_with_its_reason(world: World) -> None:
    world.allow(per_payment=PRICE - 1)
    run = world.tick(world.start())
    assert run.status is RunStatus.FAILED
    assert "1.40 USD would exceed the cap of 1.399999 USD (payment)" in run.reason
    world.assert_balanced(run, transfers=0)


def test_a_job_says_which_policy_it_counted_against(world: World) -> None:
    reserved_under = world.allow(per_payment=2 * PRICE).version
    run = step(world.start().run_id, world.ports)
    signed_under = world.allow(per_payment=3 * PRICE).version
    run = world.finish(run)
    assert paid(run) == ["gpu_vendor_1"]
    assert [job["policyVersion"] for job in world.jobs()] == [reserved_under]
    assert reserved_under < signed_under


class Lasting:
    """Vendors whose quotes are valid for centuries."""

    def __init__(self, inner: VendorApi) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        return replace(self.inner.quote(vendor, goal, gpu_type, max_hours, order), expires_at=7e9)


def test_a_quote_for_centuries_holds_nothing_for_longer_than_a_month(world: World) -> None:
    """The run stands still, halted; the agent's and the database's clocks go on, not the chain's."""
    at = world.market.clock.ahead_s
    lasting = replace(world.ports, vendor_api=Lasting(world.ports.vendor_api))
    run = step(world.start().run_id, lasting)
    assert world.usage(run).wallet_day == PRICE
    world.allow(halts=(Halt("wallet", EVERY_WALLET, "Ada", "leak"),))
    for days, hold in ((29, PRICE), (31, 0)):
        later = turned(world.agent, TurnableClock(at + days * 24 * 3600)).ports
        with suppress(PolicyRefused):
            step(run.run_id, replace(lasting, clock=later.clock, store=later.store))
        assert world.usage(run).wallet_day == hold


@pytest.mark.safety("a cap lowered between reservation and signature")
def test_a_lowered_cap_holds_for_what_is_reserved_already(world: World, safety_note: SafetyNote) -> None:
    run = world.start()
    assert step(run.run_id, world.ports).jobs
    world.allow(per_payment=PRICE - 1)
    run = world.tick(run)
    (job,) = run.jobs
    assert isinstance(job, Voided)
    assert job.cause is Cause.POLICY
    assert world.market.received_headers(world.ports.wallet.address) == []
    assert world.payments(run) == []
    safety_note("dropped by the policy; signed 0")


def test_released_money_may_be_spent_by_another_run(world: World) -> None:
    world.allow(wallet_per_day=PRICE)
    world.market.fault("gpu_vendor_1", "never_settle")
    stuck = world.tick(world.start(vendor_ids=("gpu_vendor_1",)))
    second = world.tick(world.start(vendor_ids=("gpu_vendor_1",)))
    assert (len(stuck.jobs), len(second.jobs)) == (1, 0)
    cancel(stuck.run_id, "Ada", "it takes too long", world.store, world.market.clock)
    world.market.heal()
    world.market.pass_time(200)
    assert world.tick(stuck).status is RunStatus.FAILED
    assert paid(world.finish(second)) == ["gpu_vendor_1"]


def test_allowing_more_needs_a_reason_and_is_recorded(world: World) -> None:
    before = world.store.policy()
    now = world.market.clock.now()
    with pytest.raises(BadInput, match="say why the policy is to allow more"):
        world.store.change_policy(lambda policy: replace(policy, per_payment=None), "Ada", " ", now)
    with pytest.raises(BadInput, match="say who changes the policy"):
        world.store.change_policy(lambda policy: replace(policy, per_payment=0), "", "", now)
    assert world.store.policy() == before
    lower = world.store.change_policy(lambda policy: replace(policy, per_payment=UNIT), "Ada", "", now)
    world.store.change_policy(lambda policy: replace(policy, per_payment=2 * UNIT), "Ben", "a bigger GPU", now)
    newest, older, first = world.reads.policies()
    assert [version["version"] for version in (newest, older, first)] == [3, lower.version, 1]
    assert (newest["by"], newest["why"]) == ("Ben", "a bigger GPU")
    assert newest["raised"] == ["per_payment: 1.00 USD to 2.00 USD"]
    assert [version["current"] for version in (newest, older, first)] == [True, False, False]


def test_changes_at_once_are_all_kept(world: World) -> None:
    def raise_tag(number: int) -> None:
        world.store.change_policy(
            lambda policy: replace(policy, tag_totals={**policy.tag_totals, f"tag-{number}": number}),
            "Ada",
            "",
            0,
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(raise_tag, range(8)))
    assert len(world.store.policy().tag_totals) == 8
    assert world.store.policy().version == 9


@pytest.mark.safety("the policy is gone from the database")
def test_without_a_policy_nothing_is_signed(world: World, safety_note: SafetyNote) -> None:
    run = world.start()
    world.market.empty(DATABASE, "policies")
    with pytest.raises(PolicyRefused, match="no policy in force"):
        world.tick(run)
    assert world.store.load(run.run_id) == run
    with wiring.open_agent(settings.read(world.environment)) as fresh, pytest.raises(PolicyRefused, match="no policy"):
        fresh.store.policy()  # nor does a new process make one up
    world.allow(per_payment=PRICE)
    assert paid(world.finish(run)) == ["gpu_vendor_1"]
    safety_note("signed 0, the run unchanged; paid once there is a policy again")


def test_a_policy_of_a_newer_version_is_neither_followed_in_part_nor_replaced(world: World) -> None:
    """A newer gpuagent has set a cap that this one does not know, since it opened the database."""
    run, policies = world.start(), world.store.connection.database.policies
    after = apply(run, plan(run, world.ports))
    policies.update_one({"current": True}, {"$set": {"schema": VERSION + 1, "perFullMoon": 1}})
    newest = policies.find_one({"current": True}, {"reservations": 0})
    for act in (
        lambda: world.store.save(run, after, (), world.market.clock.now()),
        lambda: world.allow(per_payment=None),
        world.another_store().policy,
    ):
        with pytest.raises(PolicyRefused, match="written by a newer gpuagent"):
            act()
    assert world.store.load(run.run_id) == run
    assert policies.find_one({"current": True}, {"reservations": 0}) == newest


@pytest.mark.parametrize(
    ("rules", "cap"),
    [
        ({"wallet_per_day": PRICE}, "wallet per day"),
        ({"vendor_per_day": PRICE}, "vendor per day"),
        ({"tag_totals": {"alpha": PRICE}}, "tag alpha"),
        ({"new_vendor": PRICE}, "new vendor"),
    ],
)
def test_planned_apart_saved_together(world: World, rules: dict[str, Any], cap: str) -> None:
    """Two runs plan while the cap has room for either: the transaction that comes second is refused."""
    world.allow(**rules)
    if "new_vendor" in rules:
        world.store.connection.database.vendors.update_one({"vendorId": "gpu_vendor_1"}, {"$set": {"proven": False}})
    runs = [world.start(vendor_ids=("gpu_vendor_1",), tags=("alpha",)) for _ in range(2)]
    planned = [apply(run, plan(run, world.ports)) for run in runs]
    world.store.save(runs[0], planned[0], (), world.market.clock.now())
    with pytest.raises(PolicyRefused, match=cap):
        world.store.save(runs[1], planned[1], (), world.market.clock.now())


@pytest.mark.safety("two processes reserve at the same moment what the cap has room for once")
def test_two_processes_that_reserve_at_once_meet(
    world: World, monkeypatch: pytest.MonkeyPatch, safety_note: SafetyNote
) -> None:
    """Another process saves while this one's transaction has added up and not committed: it starts again, and is
    refused."""
    world.allow(wallet_per_day=PRICE)
    runs = [world.start(vendor_ids=("gpu_vendor_1",)) for _ in range(2)]
    planned = [apply(run, plan(run, world.ports)) for run in runs]
    first, enforce, saves = iter([True]), enforcement.enforce, []
    with wiring.open_agent(settings.read(world.environment)) as other, ThreadPoolExecutor(1) as pool:

        def enforce_slowly(*seen: Any) -> enforcement.Counted | None:
            counted = enforce(*seen)
            if next(first, False):
                saves.append(pool.submit(other.ports.store.save, runs[1], planned[1], (), world.market.clock.now()))
                wait(saves, 0.3)  # it is held up, as it is to be
            return counted

        monkeypatch.setattr(enforcement, "enforce", enforce_slowly)
        world.store.save(runs[0], planned[0], (), world.market.clock.now())
        with pytest.raises(PolicyRefused, match="wallet per day"):
            saves[0].result()
    assert world.usage(runs[0]).wallet_day == PRICE
    safety_note("the second starts again, and is refused")


@pytest.mark.parametrize("steps", [0, 1])
def test_an_approval_that_is_demanded_meanwhile_holds_at_the_save(world: World, steps: int) -> None:
    """Planned, or signed, before the owner said that it needs an approver: nothing of it is written."""
    run = world.start()
    for _ in range(steps):
        run = step(run.run_id, world.ports)
    after = apply(run, authorize(run, run.jobs[0].job_id, world.ports) if run.jobs else plan(run, world.ports))
    world.allow(approval_above=PRICE - 1)
    with pytest.raises(PolicyRefused, match=r"1\.40 USD needs an approval by now"):
        world.store.save(run, after, (), world.market.clock.now())
    assert world.store.load(run.run_id) == run


def test_a_cap_that_is_new_meanwhile_holds_at_the_save(world: World) -> None:
    """What is added up follows the rules that are in force then, not those that this agent read last."""
    _, run = [step(world.start(tags=("x",)).run_id, world.ports) for _ in range(2)]
    after = apply(run, authorize(run, run.jobs[0].job_id, world.ports))
    world.allow(tag_totals={"x": 2 * PRICE - 1})
    with pytest.raises(PolicyRefused, match="tag x"):
        world.store.save(run, after, (), world.market.clock.now())
    assert world.store.load(run.run_id) == run


def test_a_vendor_that_is_not_proven_any_more_is_capped_at_the_save(world: World) -> None:
    """Its record said that it is when this agent read it last."""
    world.allow(new_vendor=PRICE - 1)
    run = step(world.start(vendor_ids=("gpu_vendor_1",)).run_id, world.ports)
    after = apply(run, authorize(run, run.jobs[0].job_id, world.ports))
    world.database.connection.database.vendors.update_one({"vendorId": "gpu_vendor_1"}, {"$set": {"proven": False}})
    with pytest.raises(PolicyRefused, match="new vendor"):
        world.store.save(run, after, (), world.market.clock.now())
    assert world.store.load(run.run_id) == run


@pytest.mark.safety("the owner lowers the life of an authorization while one is being signed")
def test_a_life_that_policy_or_record_do_not_allow_by_now_is_not_saved(world: World, safety_note: SafetyNote) -> None:
    """What is not saved is not sent."""
    (vendor,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == "gpu_vendor_1"]
    run = step(world.start(vendor_ids=("gpu_vendor_1",)).run_id, world.ports)
    event = authorize(run, run.jobs[0].job_id, world.ports)
    assert isinstance(event, PaymentAuthorized)
    after = apply(run, replace(event, authorization=replace(event.authorization, life_s=7200)))
    for recorded, allowed in ((7200, 3600), (3600, 7200)):
        world.store.put_vendor(replace(vendor, max_authorization_s=recorded), world.market.clock.now())
        world.allow(authorization_max_s=allowed)
        with pytest.raises(PolicyRefused, match="lives 7200 s"):
            world.store.save(run, after, (), world.market.clock.now())
        assert world.store.load(run.run_id) == run
    world.store.put_vendor(replace(vendor, max_authorization_s=7200), world.market.clock.now())
    world.store.save(run, after, (), world.market.clock.now())
    safety_note("by policy or by record: not saved, so not sent")


@pytest.mark.safety("a vendor of the wild that is bought from for the first times")
def test_a_new_vendor_gets_no_more_than_its_cap_until_its_jobs_completed(world: World, safety_note: SafetyNote) -> None:
    """Failures prove nothing; a run that races another for the rest of the cap waits."""
    (vendor,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == "gpu_vendor_1"]
    world.store.put_vendor(replace(vendor, proven=False), world.market.clock.now())
    world.allow(new_vendor=2 * PRICE)
    only = {"vendor_ids": ("gpu_vendor_1",)}
    world.market.outcomes("gpu_vendor_1", "0")
    runs = [world.start(**only) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda run: step(run.run_id, world.ports), runs))
    assert world.usage(runs[0], "gpu_vendor_1").new_vendors == {"gpu_vendor_1": 2 * PRICE}
    ended = [world.finish(run) for run in runs]
    assert len(world.transfers()) == 2
    (refused,) = [run for run in ended if not paid(run)]
    assert "cap of 2.80 USD (new vendor, until 3 of its jobs completed)" in refused.reason
    world.allow(new_vendor=4 * PRICE)
    assert paid(world.finish(world.start(**only)))
    assert world.usage(runs[0], "gpu_vendor_1").new_vendors == {"gpu_vendor_1": 3 * PRICE}, "one of three had failed"
    assert paid(world.finish(world.start(**only)))
    assert world.usage(runs[0], "gpu_vendor_1").new_vendors == {}, "three of its jobs have completed"
    elsewhere = world.store.usage(runs[0], "eip155:8453", ("gpu_vendor_1",), world.market.clock.now())
    assert elsewhere.new_vendors == {"gpu_vendor_1": 0}, "jobs that were paid on one network prove nothing on another"
    assert paid(world.finish(world.start(**only)))
    safety_note("2 of 3 bought under the cap; bought freely once 3 jobs had completed")
