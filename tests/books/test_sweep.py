"""`books --all`: every kind of difference, made for real; and that only the provable is repaired."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from bson import Decimal128, ObjectId
from eth_abi.abi import encode
from eth_hash.auto import keccak
from pymongo import MongoClient

from gpuagent.books.findings import Finding, Kind
from gpuagent.books.sweep import activity_of
from gpuagent.core import clocks
from gpuagent.core.events import PaymentVoided
from gpuagent.core.model import Authorized, Reserved, RunStatus, Token, Voided
from gpuagent.core.ports.chain import Node
from gpuagent.core.transitions import apply
from gpuagent.errors import ChainError, RunDamaged, SearchUnfinished
from gpuagent.tick import step
from tests.conftest import DATABASE
from tests.support.books import (
    OTHER_PAYEE,
    Interrupted,
    OwnWalletPayer,
    assert_repaired_once,
    kinds,
    outlive_quote,
    pending,
    repair_world,
    sweep_world,
)
from tests.support.clock import TurnableClock
from tests.support.world import World

OTHERS = "of another wallet, user, tags or network than its run"


@pytest.fixture
def purse(world: World) -> OwnWalletPayer:
    return OwnWalletPayer(world)


@pytest.fixture
def database(world: World) -> Any:
    with closing(MongoClient(world.environment["MONGODB_URI"], tz_aware=True)) as client:
        yield client[world.environment["MONGODB_DB_NAME"]]


def assert_unrepairable(world: World, *expected: Kind) -> list[Finding]:
    swept = sweep_world(world)
    assert kinds(swept) == list(expected)
    assert not swept.balanced
    runs = world.reads.runs()
    assert repair_world(world, swept) == ()
    assert world.reads.runs() == runs
    return list(swept.findings)


def search_unfinished() -> None:
    raise SearchUnfinished("ask again")


def test_a_sweep_of_completed_runs_finds_nothing(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    for _ in range(2):
        world.finish(world.start())
    swept = sweep_world(world)
    assert swept.balanced
    assert swept.findings == ()
    assert (swept.transfers, swept.held, swept.in_flight) == (3, 0, 0)
    assert swept.moved == swept.settled == sum(transfer.amount for transfer in world.transfers())
    assert swept.protocols == {"gpuagent/1": swept.settled}
    assert swept.wallets == (world.ports.wallet.address,)


# What a person must look at.


def test_a_wallet_that_is_used_elsewhere(world: World, purse: OwnWalletPayer) -> None:
    world.finish(world.start())
    purse.transfer(OTHER_PAYEE, 100_000)
    (finding,) = assert_unrepairable(world, Kind.UNKNOWN_TRANSFER)
    assert f"0.10 USD to {OTHER_PAYEE}" in finding.text


def test_a_transfer_of_nothing_is_nobodys(world: World) -> None:
    """Address poisoning: anybody can have the token log a transfer of 0 out of our wallet."""
    world.finish(world.start())
    call = encode(["address", "address", "uint256"], [world.ports.wallet.address, OTHER_PAYEE, 0])
    data = "0x" + (keccak(b"transferFrom(address,address,uint256)")[:4] + call).hex()
    world.market.transact(world.ports.wallet.token.address, data)
    assert sweep_world(world).findings == ()


def test_an_authorization_that_no_ledger_knows(world: World, purse: OwnWalletPayer) -> None:
    world.finish(world.start())
    purse.settle(purse.authorize())
    (finding,) = assert_unrepairable(world, Kind.UNKNOWN_PAYMENT)
    assert "no known run" in finding.text
    assert "1.40 USD to 0x" in finding.text
    purse.cancel(purse.authorize(nonce="0x" + "7" * 64))
    cancelled = sweep_world(world).findings[-1]
    assert (cancelled.kind, cancelled.differs) == (Kind.UNKNOWN_PAYMENT, False)


@pytest.mark.parametrize("paid_before", [0, 1])
def test_an_older_database(world: World, paid_before: int) -> None:
    """The run and the ordinal of the lost payment are named, even where the database holds no payment at all."""
    for _ in range(paid_before):
        world.finish(world.start())
    run = world.start()
    with world.market.restored(DATABASE):
        world.finish(run)
    (finding,) = assert_unrepairable(world, Kind.UNKNOWN_PAYMENT)
    assert finding.run_id == run.run_id
    assert "this run's job 1" in finding.text


def test_a_reservation_whose_payment_was_lost_is_not_released(world: World) -> None:
    run = step(world.start().run_id, world.ports)
    with world.market.restored(DATABASE):
        world.finish(run)
    outlive_quote(world, run)
    assert_unrepairable(world, Kind.UNKNOWN_PAYMENT)
    (job,) = world.store.load(run.run_id).jobs
    forged = replace(sweep_world(world), findings=(Finding(Kind.STALE_HOLD, "?", run.run_id, job.job_id),))
    assert repair_world(world, forged) == ()
    assert isinstance(job, Reserved)


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"x402TxId": "0x" + "1" * 64}, Kind.MISSING_PAYMENT, "on chain by 0x"),
        ({"payee": OTHER_PAYEE}, Kind.OTHER_TERMS, "on chain 1.40 USD to 0x"),
        ({"amount": Decimal128("1.3")}, Kind.OTHER_TERMS, "on chain 1.40 USD to 0x"),
    ],
)
def test_a_record_that_was_tampered_with(
    world: World, database: Any, change: dict[str, Any], kind: Kind, text: str
) -> None:
    world.finish(world.start())
    database.payments.update_one({}, {"$set": change})
    (finding,) = assert_unrepairable(world, kind)
    assert text in finding.text


def test_a_payment_record_that_is_gone(world: World, database: Any) -> None:
    run = world.finish(world.start())
    database.payments.delete_one({})
    gone, unknown = assert_unrepairable(world, Kind.CONTRADICTION, Kind.UNKNOWN_PAYMENT)
    assert gone.run_id == unknown.run_id == run.run_id
    assert gone.text == f"job {run.jobs[0].job_id}: its payment is gone"
    job_id = run.jobs[0].job_id
    with pytest.raises(RunDamaged, match=f"run {run.run_id} cannot be read: its job {job_id} is settled, and its paym"):
        world.tick(run)


def test_a_payment_record_that_is_gone_while_it_is_out(world: World, database: Any) -> None:
    """The chain does not show it yet: its job alone does."""
    run = pending(world)
    database.payments.delete_one({})
    (finding,) = assert_unrepairable(world, Kind.CONTRADICTION)
    assert finding.text == f"job {run.jobs[0].job_id}: its payment is gone"


def test_a_job_that_counts_otherwise_than_it_was_paid(world: World, database: Any) -> None:
    """Caps and reports count jobs, by these fields."""
    world.finish(world.start())
    job = database.jobs.find_one({})
    for change, text in (
        ({"expectedCost": Decimal128("0.4")}, "another amount than it was quoted"),
        ({"actualCost": Decimal128("0")}, "another amount than it was quoted"),
        ({"settledAt": datetime(2020, 1, 1, tzinfo=UTC)}, "time of settlement 2020-01-01"),
        ({"payer": OTHER_PAYEE}, f"wallet {OTHER_PAYEE}"),
        ({"vendorId": "gpu_vendor_2"}, "vendor gpu_vendor_2"),
        ({"quote.network": "eip155:1"}, "network eip155:1"),
        ({"quote.payTo": OTHER_PAYEE}, f"payee {OTHER_PAYEE}"),
        ({"quote.asset": OTHER_PAYEE}, f"token {OTHER_PAYEE}"),
        ({"payer": OTHER_PAYEE}, OTHERS),
        ({"quote.network": "eip155:1"}, OTHERS),
        ({"userId": "Mallory"}, OTHERS),
        ({"tags": ["Mallory"]}, OTHERS),
    ):
        database.jobs.update_one({}, {"$set": change})
        swept = sweep_world(world)
        assert set(kinds(swept)) == {Kind.CONTRADICTION}
        assert any(text in finding.text for finding in swept.findings)
        assert repair_world(world, swept) == ()
        database.jobs.replace_one({}, job)
    assert sweep_world(world).findings == ()


def test_a_run_that_is_given_to_another_owner(world: World, database: Any) -> None:
    finished = world.finish(world.start())
    run = database.runs.find_one({})
    for change, text in (
        ({"payer": OTHER_PAYEE}, "is gone or another wallet's"),
        ({"payer": None}, "is gone or another wallet's"),
        ({"payer": OTHER_PAYEE}, OTHERS),
        ({"userId": "Mallory"}, OTHERS),
        ({"network": "eip155:1"}, OTHERS),
    ):
        database.runs.update_one({}, {"$set": change})
        swept = sweep_world(world)
        assert set(kinds(swept)) == {Kind.CONTRADICTION}
        assert any(text in finding.text for finding in swept.findings)
        assert repair_world(world, swept) == ()
        if change.get("payer"):
            assert f"the run is of wallet {OTHER_PAYEE}" in " ".join(world.books(finished).differences)
        database.runs.replace_one({}, run)
    assert sweep_world(world).findings == ()


def test_a_payment_that_is_out_on_other_terms_than_were_signed(world: World, database: Any) -> None:
    """By a shorter life it would be released while the vendor can still take it."""
    pending(world)
    payment = database.payments.find_one({})
    for field, value, name in (
        ("payee", OTHER_PAYEE, "to"),
        ("validBefore", 1, "validBefore"),
        ("nonce", "0x" + "7" * 64, "nonce"),
        ("amount", Decimal128("0.4"), "value"),
        ("header", "lost", "none that can be read"),
        ("header", payment["header"] + "x", "none that can be read"),
    ):
        database.payments.update_one({}, {"$set": {field: value}})
        swept = sweep_world(world)
        contradictions = [finding.text for finding in swept.findings if finding.kind is Kind.CONTRADICTION]
        assert any(f"other terms were signed: {name}" in text for text in contradictions)
        assert repair_world(world, swept) == ()
        database.payments.replace_one({}, payment)
    assert sweep_world(world).findings == ()


@pytest.mark.parametrize("collection", ["runs", "jobs"])
@pytest.mark.parametrize("damage", ["gone", "unreadable"])
def test_what_cannot_be_read_keeps_nothing_else_from_being_repaired(
    world: World, database: Any, collection: str, damage: str
) -> None:
    run = pending(world)
    other = pending(world)
    outlive_quote(world, other)
    record = {"_id": ObjectId(run.run_id if collection == "runs" else run.jobs[0].job_id)}
    if damage == "gone":
        database[collection].delete_one(record)
    else:
        database[collection].update_one(record, {"$unset": {"createdAt": 1}}, bypass_document_validation=True)
        with pytest.raises(RunDamaged, match=r"createdAt.*books --all"):
            world.store.load(run.run_id)
    swept = sweep_world(world)
    assert [finding.run_id for finding in repair_world(world, swept)] == [other.run_id]
    assert not sweep_world(world).balanced


def test_a_job_whose_amount_was_changed_frees_no_budget(world: World, database: Any) -> None:
    """The run's record is right, and is not written anew by what such a job says."""
    run = world.finish(world.start())
    database.jobs.update_one({}, {"$set": {"quote.priceEstimate": Decimal128("0.4")}})
    assert_unrepairable(world, Kind.CONTRADICTION, Kind.CONTRADICTION, Kind.WRONG_SUM)
    (difference,) = [text for text in world.books(run).differences if run.jobs[0].job_id in text]
    assert "quoted at 0.40 USD, signed for 1.40 USD" in difference
    database.jobs.delete_one({})
    assert_unrepairable(world, Kind.CONTRADICTION, Kind.WRONG_SUM)


def test_a_payment_whose_amount_was_changed_while_it_is_out(world: World, database: Any) -> None:
    pending(world)
    database.payments.update_one({}, {"$set": {"amount": Decimal128("0.4")}})
    (finding,) = assert_unrepairable(world, Kind.CONTRADICTION)
    assert "other terms were signed: value" in finding.text


def test_recorded_as_paid_and_not_on_chain(world: World, database: Any) -> None:
    pending(world)
    block = world.chain.final().number
    database.payments.update_one(
        {}, {"$set": {"status": "completed", "x402TxId": "0x" + "1" * 64, "blockNumber": block}}
    )
    assert_unrepairable(world, Kind.MISSING_PAYMENT, Kind.CONTRADICTION)


def test_released_too_early(world: World, purse: OwnWalletPayer) -> None:
    run = pending(world)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    world.store.save(run, apply(run, PaymentVoided(job.job_id, "a bug")), [], 1.0)
    (finding,) = assert_unrepairable(world, Kind.RELEASED)
    assert "still payable" in finding.text
    purse.settle(job.authorization)
    (finding,) = assert_unrepairable(world, Kind.RELEASED)
    assert "paid by 0x" in finding.text


def test_two_payments_in_one_transaction(world: World, purse: OwnWalletPayer) -> None:
    """Equal ones are told apart by their nonces, and an unknown one beside a known one is found."""
    jobs = [job for _ in range(3) for job in pending(world).jobs]
    first, second, third = (job.authorization for job in jobs if isinstance(job, Authorized))
    purse.settle_together(first, second)
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.UNRECORDED] * 2
    assert_repaired_once(world, swept)
    purse.settle_together(third, purse.authorize())
    assert sorted(kinds(sweep_world(world))) == [Kind.UNKNOWN_PAYMENT, Kind.UNRECORDED]


# What is provable.


def test_a_settlement_that_no_tick_has_recorded(world: World) -> None:
    run = pending(world, "settle_late")
    assert (sweep_world(world).findings, sweep_world(world).in_flight) == ((), 1)
    world.market.heal()
    world.market.control("POST", "settle")
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.UNRECORDED]
    assert swept.balanced  # it is on its way
    world.market.pass_time(200)
    swept = sweep_world(world)
    assert not swept.balanced  # by now a tick should have seen it
    # A search that one share of queries does not finish is gone on with: no later tick of this process would.
    searching = Interrupted(world.chain, "outcome", search_unfinished)
    assert repair_world(world, swept, chain=searching) == swept.findings
    assert sweep_world(world).findings == repair_world(world, swept) == ()
    assert "reconciled" in [observation["data"]["kind"] for observation in world.observations(run, "payment_event")]
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_a_payment_that_can_never_be_taken(world: World, purse: OwnWalletPayer, how: str) -> None:
    run = pending(world)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    if how == "expired":
        world.market.pass_time(200)
    else:
        purse.cancel(job.authorization)
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.STALE_HOLD]
    assert not swept.balanced
    assert how in swept.findings[0].text
    assert_repaired_once(world, swept)
    assert [type(job) for job in world.store.load(run.run_id).jobs] == [Voided]


def test_a_hold_ends_by_no_chains_clock_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "LOCAL", replace(clocks.LOCAL, caip2="eip155:1"))  # so that our chain tells the time
    run = pending(world)
    world.market.pass_time(200)
    swept = sweep_world(world)
    ahead_s = world.market.clock.ahead_s - 400
    store = replace(world.database, ahead=lambda: ahead_s).store
    assert repair_world(world, swept, clock=TurnableClock(ahead_s), store=store) == ()
    assert isinstance(world.store.load(run.run_id).jobs[0], Authorized)
    assert_repaired_once(world, swept)


def test_a_reservation_whose_quote_expired(world: World) -> None:
    run = step(world.start().run_id, world.ports)
    assert sweep_world(world).findings == ()
    assert sweep_world(world).held == 1_400_000
    outlive_quote(world, run)
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.STALE_HOLD]
    assert_repaired_once(world, swept)
    assert world.finish(run).status is RunStatus.COMPLETED


def test_a_run_whose_record_does_not_add_up(world: World, database: Any) -> None:
    run = world.finish(world.start())
    wrong = {"settled": Decimal128("1.5"), "budgetRemaining": Decimal128("3.5")}
    database.runs.update_one({"_id": ObjectId(run.run_id)}, {"$set": wrong})
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.WRONG_SUM]
    assert "says 1.50 USD settled" in swept.findings[0].text
    assert_repaired_once(world, swept)
    assert world.books(run).balanced


# Beside others.


def test_a_tick_that_is_faster_than_the_repair(world: World) -> None:
    run = pending(world)
    world.market.pass_time(200)
    swept = sweep_world(world)
    busy = Interrupted(world.store, "save", lambda: world.tick(run))
    assert repair_world(world, swept, store=busy) == ()
    assert [type(job) for job in world.store.load(run.run_id).jobs] == [Voided]


@pytest.mark.parametrize("moment", ["final", "history", "outcome"])
def test_a_purchase_while_the_chain_is_read(world: World, moment: str) -> None:
    world.finish(world.start())
    swept = sweep_world(world, chain=Interrupted(world.chain, moment, lambda: world.finish(world.start())))
    assert swept.findings == ()


@pytest.mark.parametrize("moment", ["wallets", "payments", "reservations", "runs", "run"])
def test_a_purchase_while_the_ledgers_are_read(world: World, moment: str) -> None:
    world.finish(world.start())
    swept = sweep_world(world, ledgers=Interrupted(world.database.ledgers, moment, lambda: world.finish(world.start())))
    assert swept.findings == ()


def test_a_hold_that_is_released_after_the_chain_was_read(world: World) -> None:
    run = pending(world)

    def expire() -> None:
        world.market.pass_time(200)
        world.tick(run)

    assert sweep_world(world, ledgers=Interrupted(world.database.ledgers, "payments", expire)).findings == ()
    assert isinstance(world.store.load(run.run_id).jobs[0], Voided)


def test_a_run_that_moves_while_its_sums_are_read(world: World) -> None:
    """The record and the jobs are read one after the other; a step between them is no difference."""
    run = world.start()
    books = world.database.ledgers

    class Torn:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return getattr(books, name)  # type: ignore[no-any-return]

        def runs(self, payer: str) -> Any:
            before = books.run(run.run_id)
            world.tick(run)
            yield replace(before, settled_by_jobs=books.run(run.run_id).settled_by_jobs)

    assert sweep_world(world, ledgers=Torn()).findings == ()


def test_a_payment_that_moves_before_its_job_is_read(world: World) -> None:
    run = pending(world)
    books = world.database.ledgers

    class Torn:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return getattr(books, name)  # type: ignore[no-any-return]

        def payments(self, payer: str, token: Token) -> Any:
            before = list(books.payments(payer, token))
            world.market.pass_time(200)
            world.tick(run)  # releases it, and buys anew
            yield from (replace(payment, contradiction="?") for payment in before)

    assert sweep_world(world, ledgers=Torn()).findings == ()


def test_a_chain_that_is_reorganized_while_it_is_read(world: World) -> None:
    world.finish(world.start())
    snapshot = world.market.rpc("evm_snapshot")
    world.market.rpc("evm_mine")

    def reorganize() -> None:
        world.market.rpc("evm_revert", snapshot)
        world.market.pass_time(7)

    (wallet,) = world.database.ledgers.wallets(world.chain.token)
    with pytest.raises(ChainError, match="sweep again"):
        activity_of(wallet, cast("Node", Interrupted(world.chain, "history", reorganize)))
