"""Money that comes back by transfer: real ones on the chain, booked once, and freeing no budget."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo.errors import WriteError
from typer.testing import CliRunner

from gpuagent.books.findings import Finding, Kind
from gpuagent.books.refunds import assign, wallet_refunds
from gpuagent.books.repair import Sources
from gpuagent.cli import app
from gpuagent.core.credits import CreditKind
from gpuagent.core.model import Authorized, Run
from gpuagent.core.records import Block, Incoming, ReportScope
from gpuagent.core.refunds import refund_of
from gpuagent.errors import BadInput, ChainError, Refused, StoreError
from gpuagent.reports.frames import read_frames
from tests.conftest import DATABASE, SafetyNote
from tests.support.books import Interrupted, kinds, pending, repair_world, sweep_world
from tests.support.money_back import ChainWith, paid_job, says, send_another_token, send_back
from tests.support.other_payer import OtherPayer
from tests.support.world import World

SENT, OWED = CreditKind.SENT, CreditKind.OWED
HALF, FUNDS = 500_000, 1_000_000_000
"""FUNDS: what the wallet of a test was topped up with, which came in too."""


def sources(world: World, **changes: Any) -> Sources:
    return replace(Sources(world.store, world.database.ledgers, world.chain, world.market.clock), **changes)


def payee(run: Run) -> str:
    return paid_job(run).authorization.payee


def told(world: World, run: Run, kind: CreditKind, amount: int, transaction: str = "") -> None:
    assert world.store.book_credit(says(run, kind, amount, transaction), world.market.clock.now())


def money(world: World, run: Run) -> tuple[object, ...]:
    """All that says what may still be spent: nothing that comes back may change it."""
    usage = world.usage(run, paid_job(run).quote.vendor_id)
    return world.reads.recorded(run.run_id), usage, world.books(run)


def booked(world: World) -> list[Any]:
    return list(world.market.database(DATABASE).refunds.find())


def assert_unbooked(world: World, *expected: Kind) -> list[Finding]:
    """Check that the books balance, with these findings, none of which a repair books."""
    swept = sweep_world(world)
    assert kinds(swept) == list(expected)
    assert swept.balanced
    assert repair_world(world, swept) == ()
    assert booked(world) == []
    return list(swept.findings)


@pytest.mark.safety("a refund by transfer, read by two sweepers at once, again and again, and after a kill")
def test_a_refund_is_booked_once_and_frees_no_budget(world: World, safety_note: SafetyNote) -> None:
    run = world.finish(world.start())
    before = money(world, run)
    told(world, run, SENT, HALF, send_back(world, payee(run), HALF))
    swept = sweep_world(world)
    assert (kinds(swept), swept.balanced, swept.refunded) == ([Kind.REFUND], True, 0)
    dying = Interrupted(world.store, "book_refund", died)
    with pytest.raises(StoreError):
        repair_world(world, swept, store=dying)
    assert booked(world) == []
    with ThreadPoolExecutor(4) as pool:
        repaired = list(pool.map(lambda _: repair_world(world, swept), range(4)))
    assert sorted(map(len, repaired)) == [0, 0, 0, 1]
    swept = sweep_world(world)
    assert (swept.findings, swept.refunded, swept.received) == ((), HALF, FUNDS + HALF)
    assert [document["amount"].to_decimal() for document in booked(world)] == [Decimal128("0.5").to_decimal()]
    (payment,) = [payment for payment in world.payments(run) if "refunded" in payment]
    assert payment["refunded"].to_decimal() == Decimal128("0.5").to_decimal()
    assert money(world, run) == before
    contents = [entry["content"] for entry in world.observations(run, "payment_event")]
    assert sum("refunded by" in content for content in contents) == 1
    # Later saves of the run leave it as it is.
    world.store.save(world.store.load(run.run_id), run, [], world.market.clock.now())
    assert sweep_world(world).refunded == HALF
    safety_note("booked once, at 0.50 USD of what the job cost; budget, caps and what is settled are as they were")


@pytest.mark.safety("what came back of a payment, changed by hand in one record of several")
def test_what_came_back_is_what_is_booked(world: World, safety_note: SafetyNote) -> None:
    run = world.finish(world.start())
    told(world, run, OWED, 300_000)
    told(world, run, SENT, HALF, send_back(world, payee(run), HALF))
    assert len(repair_world(world, sweep_world(world))) == 1
    # Another refund, which the vendor's answer names: what is contradicted decides about no money.
    told(world, run, CreditKind.BALANCE, 0, send_back(world, payee(run), HALF))
    earlier = sweep_world(world)
    assert kinds(earlier) == [Kind.REFUND]
    changes: list[tuple[str, dict[str, Any], str]] = [
        ("payments", {"refunded": Decimal128("1.4")}, "says that 1.40 USD came back, and 0.50 USD is booked"),
        ("payments", {"refunded": Decimal128("0")}, "says that 0.00 USD came back, and 0.50 USD is booked"),
        ("payments", {"credit": Decimal128("0")}, "says that 0.00 USD is a credit, and 0.30 USD is booked"),
        ("refunds", {"jobId": ObjectId()}, "booked for a job that the wallet has not paid for"),
        ("refunds", {"vendorId": "gpu_vendor_2"}, "booked for another vendor or run"),
        ("refunds", {"runId": ObjectId()}, "booked for another vendor or run"),
        ("credits", {"amount": Decimal128("0.2")}, "says that 0.30 USD is a credit, and 0.20 USD is booked"),
        ("credits", {"jobId": ObjectId()}, "says that 0.30 USD is a credit, and 0.00 USD is booked"),
    ]
    for collection, change, text in changes:
        records = world.market.database(DATABASE)[collection]
        record = records.find_one_and_update({}, {"$set": change})
        swept = sweep_world(world)
        assert not swept.balanced
        assert any(text in finding.text for finding in swept.findings if finding.kind is Kind.CONTRADICTION)
        assert repair_world(world, swept) == ()
        assert repair_world(world, earlier) == (), "what a sweep saw before the change does not book it either"
        records.replace_one({"_id": record["_id"]}, record)
    assert len(repair_world(world, sweep_world(world))) == 1
    safety_note(f"{len(changes)} changes, each a contradiction in words; no refund is booked by such a record")


def test_a_refund_that_is_booked_while_payments_are_read(world: World) -> None:
    run = world.finish(world.start())
    told(world, run, SENT, HALF, send_back(world, payee(run), HALF))
    first = sweep_world(world)
    for moment in ("payments", "again"):
        reading = Interrupted(world.database.ledgers, moment, lambda: repair_world(world, first))
        assert Kind.CONTRADICTION not in kinds(sweep_world(world, ledgers=reading))


def died() -> None:
    raise StoreError("killed")


@pytest.mark.safety("transfers into the wallet that are no refund: dust, and another token of the same name")
def test_dust_and_another_token(world: World, safety_note: SafetyNote) -> None:
    run = world.finish(world.start())
    stranger, token = OtherPayer(world), world.ports.wallet.token
    stranger.settle(stranger.authorize(payee=world.ports.wallet.address, amount=1))
    false = send_another_token(world, payee(run), HALF)
    told(world, run, SENT, HALF, false)
    assert_unbooked(world)
    swept, received = sweep_world(world), wallet_refunds(sources(world))[0].books
    assert (swept.incoming, swept.received, swept.refunded) == (2, FUNDS + 1, 0)
    assert [transfer.amount for transfer in received.others] == [FUNDS, 1]
    with pytest.raises(BadInput, match=f"no transfer of {token.address}"):
        assign(false, paid_job(run).job_id, "Ada", "it says USDC", sources(world))
    safety_note("the other token's is not read at all; dust is counted, is nobody's refund, and no difference")


@pytest.mark.safety("a vendor pays back what it does not name, twice, or more than it was paid")
def test_what_an_operator_assigns(world: World, safety_note: SafetyNote) -> None:
    first, second = (world.finish(world.start(vendor_ids=("gpu_vendor_1",))) for _ in range(2))
    jobs = [paid_job(run).job_id for run in (first, second)]
    price = paid_job(first).quote.amount
    big, small = send_back(world, payee(first), price + 1), send_back(world, payee(first), HALF)
    texts = [finding.text for finding in assert_unbooked(world, Kind.UNASSIGNED, Kind.UNASSIGNED)]
    assert f"gpuagent refund assign {small} JOB_ID" in texts[1]
    now = sources(world)
    with pytest.raises(BadInput, match="still come back"):
        assign(big, jobs[0], "Ada", "it is ours", now)
    with pytest.raises(BadInput, match="not a job's id"):
        assign(small, "job", "Ada", "it is ours", now)
    with pytest.raises(BadInput, match="say why"):
        assign(small, jobs[0], "Ada", " ", now)
    assert booked(world) == []
    refund = assign(small.upper().replace("0X", "0x"), jobs[0], "Ada", "she wrote to them", now)
    assert (refund.transfer.amount, refund.by) == (HALF, "Ada")
    for job_id in jobs:
        with pytest.raises(BadInput, match=f"booked already, for job {jobs[0]}"):
            assign(small, job_id, "Bob", "no, it is ours", now)
    # Each fits alone, both together do not.
    rest = [send_back(world, payee(first), price - HALF) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(assign, transaction, jobs[0], "Ada", "the rest", now) for transaction in rest]
    assert sorted(attempt.exception() is None for attempt in tries) == [False, True]
    assert sweep_world(world).refunded == price
    assert kinds(sweep_world(world)) == [Kind.UNASSIGNED] * 2
    assert sweep_world(world).balanced
    safety_note("each transfer once, by name and reason; never more than was paid; the rest are lines of their own")


def test_a_declared_address_and_what_is_owed(world: World) -> None:
    """A vendor may pay back from the address in its record; what it owes is then no credit any more."""
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    world.store.put_vendor(replace(world.store.vendors()[0], refund_address=world.market.vendors[1].pay_to), 0.0)
    told(world, run, OWED, HALF)
    assert world.reads.credits() == {"gpu_vendor_1": HALF}
    world.market.fund(world.market.vendors[1].pay_to, HALF)
    send_back(world, world.market.vendors[1].pay_to, HALF)
    swept = sweep_world(world)
    assert kinds(swept) == [Kind.REFUND]
    assert repair_world(world, swept) == swept.findings
    assert world.reads.credits() == {}


def test_what_only_a_node_shows(world: World) -> None:
    """In the payment's own transaction; and what is booked, and by the chain never came."""
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    job, wallet = paid_job(run), world.ports.wallet.address.lower()
    settled, block = job.settlement.transaction.lower(), job.settlement.block_number
    back = Incoming(settled, 9, block, payee(run).lower(), wallet, HALF)
    chain = ChainWith(world.chain, (back,))
    told(world, run, SENT, HALF, settled)
    swept = sweep_world(world, chain=chain)
    assert (kinds(swept), swept.balanced, swept.received) == ([Kind.UNASSIGNED], True, FUNDS + HALF)
    forged = replace(swept, findings=(Finding(Kind.REFUND, "", run.run_id, job.job_id, transfer=back),))
    assert repair_world(world, forged) == (), "the chain is asked once more"
    twice = ChainWith(world.chain, (back, replace(back, log_index=10)))
    with pytest.raises(BadInput, match="say which"):
        assign(settled, job.job_id, "Ada", "a round trip", sources(world, chain=twice))
    own = ChainWith(world.chain, (replace(back, sender=wallet),))
    with pytest.raises(BadInput, match="wallet of your own"):
        assign(settled, job.job_id, "Ada", "a round trip", sources(world, chain=own))
    assign(settled, job.job_id, "Ada", "a round trip", sources(world, chain=twice), log_index=9)
    assert kinds(sweep_world(world, chain=twice)) == [Kind.UNASSIGNED]
    swept = sweep_world(world)
    assert (kinds(swept), swept.balanced) == ([Kind.MISSING_REFUND], False)
    assert repair_world(world, swept) == ()


def test_a_chain_that_is_replaced_while_incoming_is_read(world: World) -> None:
    world.finish(world.start())

    class Reorganized(ChainWith):
        replaced = False

        def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
            yield from super().incoming(wallet, first, last)
            self.replaced = True

        def block(self, number: int) -> Block | None:
            block: Block = self.inner.block(number)
            return replace(block, hash="0x1") if self.replaced else block

    with pytest.raises(ChainError, match="was replaced"):
        sweep_world(world, chain=Reorganized(world.chain))


@pytest.mark.safety("a credit of more than was paid, on a job that was never paid, or said anew each time")
def test_the_database_bounds_what_came_back_and_what_is_said_to(world: World, safety_note: SafetyNote) -> None:
    """Whoever asks it: a second refund that fits alone, a second word, a word on a payment that is still out."""
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    job, database = paid_job(run), world.market.database(DATABASE)
    payment = world.database.ledgers.payment_of(job.job_id)
    for name, outcome in (("1", True), ("1", False)):
        back = Incoming("0x" + name * 64, 0, 9, payee(run).lower(), run.payer.lower(), 1_000_000)
        refund = refund_of(back, payment, world.ports.wallet.token)
        assert world.store.book_refund(refund, 0.0) is outcome
    with pytest.raises(Refused, match="more would have come back"):
        world.store.book_refund(replace(refund, transfer=replace(back, log_index=1)), 0.0)
    assert len(booked(world)) == 1
    with pytest.raises(WriteError):
        database.payments.update_one({"jobId": ObjectId(job.job_id)}, {"$set": {"refunded": Decimal128("1.400001")}})
    told(world, run, OWED, 1_200_000)
    assert not world.store.book_credit(says(run, OWED, 1_400_000), 0.0), "the first word stays"
    assert world.reads.credits() == {"gpu_vendor_1": 200_000}
    (out,) = pending(world).jobs
    assert isinstance(out, Authorized)
    said = replace(says(run, OWED, 1_400_000), job_id=out.job_id)
    assert world.store.book_credit(said, 0.0)
    assert world.reads.credits() == {"gpu_vendor_1": 200_000}
    with pytest.raises(Refused, match="not paid"):
        world.store.book_refund(replace(refund, job_id=out.job_id, transfer=replace(back, log_index=1)), 0.0)
    safety_note("never more than was paid, in all that came; a word counts once, and on an unpaid job not at all")


def test_the_commands_and_a_report(world: World, invoke: Callable[..., Any]) -> None:
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    job = paid_job(run)
    told(world, run, OWED, HALF)
    transaction = send_back(world, payee(run), 400_000)
    assert "gpu_vendor_1 says that it has a credit of 0.50 USD" in invoke("vendor", "list").stdout
    listed = json.loads(invoke("refund", "list", "--json", "--all").stdout)["wallets"][0]
    assert [entry["transaction"] for entry in listed["unassigned"]] == [transaction]
    assert listed["claims"][0]["amount"] == str(HALF)
    text = invoke("refund", "list").stdout
    assert "of no known job" in text
    assert "it owes 0.50 USD" in " ".join(text.split())
    assert invoke("refund", "assign", transaction, job.job_id).exit_code == 2
    said = invoke("refund", "assign", transaction, job.job_id, "--why", "they wrote", "--by", "Ada")
    assert (said.exit_code, "booked 0.40 USD" in said.stdout) == (0, True)
    books = json.loads(invoke("books", run.run_id, "--json").stdout)
    assert (books["refunded"], books["credit"], books["balanced"]) == ("400000", "100000", True)
    shown = " ".join(invoke("run", "status", run.run_id).stdout.split())
    assert "0.40 USD of 1.40 USD refunded by transfer" in shown
    assert "0.10 USD credit at gpu_vendor_1, by its word alone" in shown
    scope = ReportScope(
        world.ports.wallet.token.network, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    )
    with world.reads.history() as rows:
        (row,) = read_frames(rows, scope, "", 5).purchases.to_dict("records")
    sums = {name: row[name] for name in ("paid", "refunded", "cost", "credit")}
    assert sums == {"paid": 1_400_000, "refunded": 400_000, "cost": 1_000_000, "credit": 100_000}
    swept = invoke("books", "--all")
    assert (swept.exit_code, "0.40 USD of it, booked for jobs" in " ".join(swept.stdout.split())) == (0, True)


@pytest.fixture
def invoke(world: World) -> Callable[..., Any]:
    return lambda *words: CliRunner(env={**world.environment, "COLUMNS": "200"}).invoke(app, words)
