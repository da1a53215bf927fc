"""`books --adopt` and `--write-off`: a user books what the chain proves, by the command that a finding names."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from click.testing import Result

from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.agent.approve import cancel
from gpuagent.books.adopt import adopt
from gpuagent.books.findings import Finding, Kind
from gpuagent.books.repair import Sources
from gpuagent.books.unclaimed import unknown_payment
from gpuagent.books.write_off import write_off
from gpuagent.core.events import PaymentVoided
from gpuagent.core.indices import UNKNOWN
from gpuagent.core.model import HEADER_LOST, Authorized, Run, RunStatus, Settled, Voided
from gpuagent.core.terms import derived_job_id, nonce
from gpuagent.core.transitions import apply
from gpuagent.core.work import Failed, Owed
from gpuagent.errors import BadInput, ChainMismatch
from gpuagent.tick import step
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE
from tests.conftest import DATABASE, SafetyNote
from tests.support.books import OTHER_PAYEE, Interrupted, OwnWalletPayer, kinds, pending, sweep_world
from tests.support.rpc_proxy import RpcProxy
from tests.support.world import World

PRICE = 1_400_000


@pytest.fixture
def purse(world: World) -> OwnWalletPayer:
    return OwnWalletPayer(world)


def sources_of(world: World, **changes: Any) -> Sources:
    return replace(Sources(world.store, world.database.ledgers, world.chain, world.market.clock), **changes)


def nonce_of_job(world: World, run: Run | str, ordinal: int = 0) -> str:
    run_id = run if isinstance(run, str) else run.run_id
    return nonce(world.ports.wallet.token, world.ports.wallet.address, derived_job_id(run_id, ordinal))


def adopt_in(world: World, run: Run | str, **changes: Any) -> Run:
    run_id = run if isinstance(run, str) else run.run_id
    return adopt(nonce_of_job(world, run_id), run_id, "Ada", "restored on Monday", sources_of(world, **changes))


def write_off_in(world: World, run: Run, **changes: Any) -> Run:
    job_id = run.jobs[0].job_id
    return write_off(run.run_id, job_id, "Ada", "the record was damaged", sources_of(world, **changes))


def lost_payment(world: World, **order: Any) -> Run:
    """A run whose one payment the restored database does not know."""
    run = world.start(vendor_ids=("gpu_vendor_1",), **order)
    with world.market.restored(DATABASE):
        world.finish(run)
    return run


def command(finding: Finding | str) -> list[str]:
    """The arguments that a finding tells to type, with a reason."""
    match = re.search(r"`gpuagent (books [^`]*) --why WHY`", finding if isinstance(finding, str) else finding.text)
    assert match, finding
    return [*shlex.split(match[1]), "--why", "looked into it", "--by", "Ada"]


def assert_books_equal_the_chain(world: World, run: Run, held: int = 0) -> None:
    report = sweep_world(world)
    assert (report.findings, report.balanced, report.moved, report.held) == ((), True, report.settled, held)
    assert world.books(run).balanced


# Adopted.


@pytest.mark.safety("a restored ledger that does not know a payment of its run")
@pytest.mark.parametrize("state", ["not planned", "reserved", "dropped"])
def test_a_lost_payment_is_adopted_whatever_the_ledger_holds_of_its_job(
    world: World, state: str, safety_note: SafetyNote
) -> None:
    """The run refuses to sign before; then the books equal the chain, the caps count it, and the run goes on."""
    run = world.start(vendor_ids=("gpu_vendor_1",))
    run = run if state == "not planned" else step(run.run_id, world.ports)
    with world.market.restored(DATABASE):
        world.finish(run)
    if state == "dropped":
        world.market.pass_by_vendors(max(0, run.jobs[0].quote.expires_at - world.store.now()) + 5)
        run = step(run.run_id, world.ports)
        assert isinstance(run.jobs[0], Voided)
    with pytest.raises(ChainMismatch, match=f"books {run.run_id} --adopt {nonce_of_job(world, run)}"):
        world.tick(run)
    adopted = adopt_in(world, run)
    job, *reserved = adopted.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert (job.quote.vendor_id, job.quote.amount, job.header) == ("gpu_vendor_1", PRICE, HEADER_LOST)
    assert world.store.load(run.run_id) == adopted
    if (
        state != "dropped"
    ):  # its quote ended by the vendors' clock, which may be days ahead of a payment that is a day old
        assert world.usage(run).wallet_day == PRICE * len(adopted.jobs)
    assert_books_equal_the_chain(world, run, PRICE * len(reserved))
    (observation,) = [entry for entry in world.observations(run, "payment_event") if entry["data"]["kind"] == "adopted"]
    assert observation["content"] == "Ada adopted 1.40 USD to gpu_vendor_1, paid on chain: restored on Monday"
    run = world.finish(adopted)
    assert run.status is RunStatus.COMPLETED
    assert [job.job_id for job in run.jobs] == [derived_job_id(run.run_id, ordinal) for ordinal in range(2)]
    world.assert_balanced(run, transfers=2)
    safety_note("refused to sign; adopted by name and reason with the chain's terms, then paid for its next job alone")


def test_a_payment_is_adopted_once(world: World) -> None:
    run = lost_payment(world)
    adopt_in(world, run)
    with pytest.raises(BadInput, match="the ledger knows it"):
        adopt_in(world, run)
    busy = lost_payment(world)
    store = Interrupted(
        world.store, "save", lambda: cancel(busy.run_id, "Ben", "why not", world.store, sources_of(world).clock)
    )
    assert adopt_in(world, busy, store=store).status is RunStatus.FAILED
    assert_books_equal_the_chain(world, busy)


@pytest.mark.parametrize("count", [1, 3])
def test_payments_are_adopted_in_any_order(world: World, count: int) -> None:
    """The next job is none of those that were lost, whichever of them is adopted first.

    Which of several jobs one was for is lost with it, so it stands for none.
    """
    run = world.start(jobs_open_max=2, budget=20, count=count)
    with world.market.restored(DATABASE):
        paid = world.tick(run)
    assert len(paid.jobs) == len(world.transfers()) == 2
    run = adopt(nonce_of_job(world, run, 1), run.run_id, "Ada", "lost", sources_of(world))
    with pytest.raises(ChainMismatch):
        world.tick(run)
    adopt_in(world, run)
    run = world.finish(run)
    assert {job.job_id for job in run.jobs} == {derived_job_id(run.run_id, ordinal) for ordinal in range(len(run.jobs))}
    assert run.status is RunStatus.COMPLETED
    indices = {job.quote.index for job in run.jobs}
    assert indices == ({0} if count == 1 else {UNKNOWN, 0, 1, 2})
    assert len(run.jobs) == 2 + max(count, 2), "what was adopted has completed nothing"
    world.assert_balanced(run, transfers=len(run.jobs))


def test_a_run_that_the_ledger_lost_with_its_payment(world: World) -> None:
    """The nonce proves the run's id; who does not know it gets a record of its own."""
    world.finish(world.start())
    with world.market.restored(DATABASE):
        lost = world.finish(world.start())
        other = world.finish(world.start())
    with pytest.raises(BadInput, match="pays for no job of run"):
        adopt(nonce_of_job(world, lost), other.run_id, "Ada", "lost", sources_of(world))
    adopted = adopt_in(world, lost.run_id)
    assert (adopted.run_id, adopted.status, adopted.budget) == (lost.run_id, RunStatus.FAILED, PRICE)
    unowned = adopt(nonce_of_job(world, other), "", "Ada", "lost", sources_of(world))
    assert unowned.run_id not in (lost.run_id, other.run_id)
    for run in (adopted, unowned):
        assert_books_equal_the_chain(world, run)


def test_a_hold_that_was_released_and_paid(world: World, purse: OwnWalletPayer) -> None:
    """Its signed bytes are kept, so the vendor can still be asked for the job."""
    run = pending(world)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    with pytest.raises(BadInput, match="it can still be taken"):
        adopt_in(world, run)
    world.store.save(run, apply(run, PaymentVoided(job.job_id, "a bug")), [], 1.0)
    purse.settle(job.authorization)
    (finding,) = sweep_world(world).findings
    assert command(finding)[1:4] == [run.run_id, "--adopt", job.authorization.nonce]
    (after,) = adopt_in(world, run).jobs
    assert isinstance(after, Settled)
    assert isinstance(after.work, Owed)
    assert after.header == job.header
    assert_books_equal_the_chain(world, run)


@pytest.mark.safety("what is to be adopted is not a payment to a recorded vendor")
def test_what_the_chain_does_not_prove_is_not_adopted(
    world: World, purse: OwnWalletPayer, safety_note: SafetyNote
) -> None:
    run = lost_payment(world)
    used, theirs = nonce_of_job(world, run), "0x" + "7" * 64
    strangers = purse.authorize(nonce="0x" + "8" * 64, payee=OTHER_PAYEE)
    for spent_nonce, action, reason in (
        (theirs, lambda: None, "no wallet of this ledger shows nonce"),
        (theirs, lambda: purse.cancel(purse.authorize(nonce=theirs)), "was cancelled by"),
        (strangers.nonce, lambda: purse.settle(strangers), "no recorded vendor's payee"),
        (used, lambda: None, f"the nonce is of run {run.run_id}"),
    ):
        action()
        with pytest.raises(BadInput, match=reason):
            adopt(spent_nonce, "", "Ada", "?", sources_of(world))
    assert unknown_payment(strangers.nonce, sources_of(world), None)[2].payee == OTHER_PAYEE
    world.market.empty(DATABASE, "vendors")
    with pytest.raises(BadInput, match="no recorded vendor's payee"):
        adopt_in(world, run)
    for by, why in (("", "why"), ("Ada", " "), ("Ada\n", "why")):
        with pytest.raises(BadInput, match="say "):
            adopt(used, run.run_id, by, why, sources_of(world))
    assert world.store.load(run.run_id) == run
    assert len(world.reads.runs()) == 1
    safety_note(
        "unknown, cancelled, to a stranger, of another run, without a name or a reason: refused, nothing written"
    )


def test_two_unknown_payments_in_one_transaction_are_told_apart_or_refused(world: World, purse: OwnWalletPayer) -> None:
    world.start()
    names = ["0x" + digit * 64 for digit in "123"]
    first, second = purse.authorize(nonce=names[0]), purse.authorize(nonce=names[1])
    purse.settle_together(first, second)
    for name in names[:2]:
        adopt(name, "", "Ada", "equal ones", sources_of(world))
    assert sweep_world(world).findings == ()
    purse.settle_together(purse.authorize(nonce=names[2]), purse.authorize(nonce="0x" + "4" * 64, amount=7))
    with pytest.raises(BadInput, match="2 different transfers"):
        adopt(names[2], "", "Ada", "?", sources_of(world))


def test_a_payment_beyond_what_the_run_has_left(world: World) -> None:
    run = lost_payment(world, budget=1.5)
    spent = {"plannerCost": Decimal128("0.2"), "budgetRemaining": Decimal128("1.3")}
    world.market.change(DATABASE, "runs", ObjectId(run.run_id), spent)
    with pytest.raises(BadInput, match=r"has 1\.30 USD left, less than the payment"):
        adopt_in(world, run)
    assert world.store.load(run.run_id).jobs == ()


# Written off.


def test_a_hold_whose_terms_can_never_match_is_spent_and_not_released(world: World) -> None:
    """The recorded payee was damaged while the payment was out: no tick and no repair ends the hold."""
    run = pending(world, "settle_late")
    job = run.jobs[0]
    with pytest.raises(BadInput, match="nothing is released"):
        write_off_in(world, run)
    world.market.heal()
    world.market.control("POST", "settle")
    damaged = {"payee": OTHER_PAYEE, "amount": Decimal128("1.3")}
    payment = world.payments(run)[0]
    world.market.change(DATABASE, "payments", payment["_id"], damaged)
    with pytest.raises(ChainMismatch, match="on other terms"):
        world.tick(run)
    (finding,) = sweep_world(world).findings
    assert finding.kind is Kind.OTHER_TERMS
    assert command(finding)[1:4] == [run.run_id, "--write-off", job.job_id]
    assert command(world.books(run).differences[0]) == command(finding)
    (after,) = write_off_in(world, run).jobs
    assert isinstance(after, Settled)
    assert isinstance(after.work, Failed)
    assert (after.quote.amount, after.authorization.payee) == (PRICE, world.market.vendors[0].pay_to.lower())
    assert_books_equal_the_chain(world, run)
    assert world.usage(run).wallet_day == PRICE
    (written,) = [entry for entry in world.observations(run, "payment_event") if entry["data"]["kind"] == "written off"]
    assert (written["data"]["by"], written["data"]["amount"]) == ("Ada", str(PRICE))
    with pytest.raises(BadInput, match="nothing to write off"):
        write_off_in(world, run)


@pytest.mark.safety("a write-off of a hold that the chain has not ended")
def test_a_hold_is_released_only_where_the_chain_ended_it(world: World, safety_note: SafetyNote) -> None:
    run = pending(world)
    for unsigned in (step(world.start().run_id, world.ports), run):
        with pytest.raises(BadInput, match=r"releases such a hold|nothing is released"):
            write_off_in(world, unsigned)
    assert world.books(run).ledger.held == PRICE
    world.market.pass_time(200)
    (job,) = write_off_in(world, run).jobs
    assert isinstance(job, Voided)
    assert job.reason == "expired unused; written off by Ada: the record was damaged"
    with pytest.raises(BadInput, match="expired unused on chain"):
        write_off_in(world, run)
    safety_note("unsigned or undecided: refused; expired at a final block: released, with name and reason")


def test_a_mismatch_whose_transfer_is_not_shown_is_not_written_off(world: World) -> None:
    """The token of another network says nothing of the nonce, so nothing is spent or released by it."""
    run = pending(world)
    payment = world.payments(run)[0]
    world.market.change(DATABASE, "payments", payment["_id"], {"network": "eip155:1"})
    with pytest.raises(ChainMismatch, match="nothing was written off"):
        write_off_in(world, run)
    assert isinstance(world.store.load(run.run_id).jobs[0], Authorized)


# A token that forgot used nonces.


@pytest.fixture
def forgetful_node(world: World) -> Iterator[RpcProxy]:
    """A node whose token says of every nonce that it is unused, as after an upgrade that lost them."""
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as proxy:
        unused = "0x" + "0" * 64
        proxy.lie("eth_call", lambda call, true: unused if call[0]["data"].startswith(AUTHORIZATION_STATE) else true)
        yield proxy


@pytest.mark.safety("a token that forgot which nonces were used")
def test_a_forgotten_nonce_is_paid_by_the_history(
    world: World, forgetful_node: RpcProxy, safety_note: SafetyNote
) -> None:
    """Its hold is not released, the run finds it paid, and the books balance without an order of anybody's."""
    run = pending(world, "settle_late")
    world.market.heal()
    world.market.control("POST", "settle")
    world.market.pass_time(200)
    with closing(EvmChain(forgetful_node.url, world.ports.wallet.token)) as chain:
        forgetful = replace(world, agent=replace(world.agent, ports=replace(world.ports, chain=chain), chain=chain))
        run = forgetful.tick(run)
        assert [type(job) for job in run.jobs] == [Settled]
        assert forgetful.books(run).balanced
        assert sweep_world(forgetful).balanced
    assert len(world.transfers()) == 1
    safety_note("held until the history showed the transfer, then recorded as paid; 1 transfer, books equal")


# By the command line.


def test_the_commands_that_findings_name(world: World, gpuagent: Callable[..., Result]) -> None:
    run = lost_payment(world)
    differing = gpuagent("books", "--all", "--json")
    assert differing.exit_code == 1
    (finding,) = json.loads(differing.stdout)["findings"]
    arguments = command(finding["content"])
    assert command(world.books(run).differences[0]) == arguments
    assert gpuagent(*arguments[:4]).exit_code == 2
    done = gpuagent(*arguments, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["balanced"], answer["said"]) == (True, f"adopted into run {run.run_id}, by Ada: looked into it")
    assert gpuagent(*arguments).exit_code == 2
    assert kinds(sweep_world(world)) == []
    with world.market.restored(DATABASE):
        world.finish(world.start())
    (finding,) = json.loads(gpuagent("books", "--all", "--json").stdout)["findings"]
    assert command(finding["content"])[1:3] == ["--all", "--adopt"]
    done = gpuagent(*command(finding["content"]))
    assert (done.exit_code, "adopted into run" in done.output) == (0, True)
    refused = gpuagent("books", run.run_id, "--write-off", world.store.load(run.run_id).jobs[0].job_id, "--why", "?")
    assert (refused.exit_code, "nothing to write off" in refused.stderr) == (2, True)
    for wrong in (("--all", "--write-off", "1"), (run.run_id, "--why", "x"), ("--all", "--repair", "--adopt", "0x1")):
        assert gpuagent("books", *wrong).exit_code == 2
