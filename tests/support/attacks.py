"""Attacks by one vendor, and what must come of them: refused before a signature, or outlived once a payment is out."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from gpuagent.core.model import Authorized, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.work import Owed, Underway
from gpuagent.tick import step
from tests.support.evidence import Evidence, authorized, signature_of, stored_headers
from tests.support.world import World

Observed = Callable[..., Evidence]
Attack = Callable[[World, str], Run]
FIRST, SECOND = "gpu_vendor_1", "gpu_vendor_2"
"""The cheapest vendor, which attacks, and the one that is chosen in its stead."""
LIFE_S = 200
"""No authorization of the agent lives longer."""
RELAY = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"


def refuses_quote(world: World, fault: str) -> Run:
    """The quote is turned down in planning: another vendor is chosen, with nothing held but its price."""
    world.market.fault(FIRST, fault)
    run = step(world.start().run_id, world.ports)
    assert [job.quote.vendor_id for job in run.jobs] == [SECOND]
    assert_unpaid(world, run, amount_held=run.jobs[0].quote.amount)
    return run


def refuses_offer(world: World, fault: str) -> Run:
    """The quote is reserved, its 402 turned down: the hold is released at once, and nothing was ever signed."""
    world.market.fault(FIRST, fault)
    run = step(world.start().run_id, world.ports)
    assert [job.quote.vendor_id for job in run.jobs] == [FIRST]
    assert_unpaid(world, run, amount_held=run.jobs[0].quote.amount)
    run = step(run.run_id, world.ports)
    (job,) = run.jobs
    assert isinstance(job, Voided)
    assert job.authorization is None
    assert_unpaid(world, run, amount_held=0)
    return run


def pays_into_silence(world: World, fault: str) -> Run:
    """The payment is sent and not taken: it stays held, and is neither signed again nor given up."""
    run = pays_first(world, fault)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    assert world.transfers() == ()
    assert held_amount(world, run) == job.quote.amount
    return run


def pays_once(world: World, fault: str) -> Run:
    """The payment settles whatever the vendor says: it counts as spent, nothing is held, one header is out."""
    run = pays_first(world, fault)
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Owed | Underway)
    assert_moved(world, run)
    assert held_amount(world, run) == 0
    return run


def pays_first(world: World, fault: str) -> Run:
    """The payment is out, one header, to the vendor that attacks."""
    world.market.fault(FIRST, fault)
    run = world.tick(world.start())
    assert [job.quote.vendor_id for job in run.jobs] == [FIRST]
    assert_signed(world, run, 1)
    return run


HASTE = {refuses_quote: ("quote", 2.0), refuses_offer: ("challenge", 2.0), pays_once: ("submit", 6.0)}
"""By attack, the call of the attacker's that may be cut off, and after how many seconds: one that pays has settled."""


def attacks(*stages: tuple[Attack, str]) -> Any:
    """Parametrize a test by attack and fault, called by the fault."""
    return pytest.mark.parametrize(("attack", "fault"), [pytest.param(a, f, id=f) for a, f in stages])


def goes_on(world: World, attack: Attack, run: Run, observed: Observed) -> None:
    """The run goes on: an unpaid vendor is left, a paid one is held to its work."""
    (gets_its_work if attack is pays_once else buys_elsewhere)(world, run, observed)


def finishes(world: World, run: Run, observed: Observed, paid: list[str], **notes: object) -> Evidence:
    """The run completes at the last vendor paid. Each was paid once, at its quote, with one signature."""
    out = [job.quote.amount for job in world.store.load(run.run_id).jobs if isinstance(job, Authorized)]
    if out:
        notes = {"held until the chain decided": show_usd(sum(out)), **notes}
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == paid
    record = observed(world, run, **notes)
    assert record.held == 0
    assert_moved(world, run)
    world.assert_balanced(run, transfers=len(paid))
    return record


def buys_elsewhere(world: World, run: Run, observed: Observed, **notes: object) -> None:
    """The attacker gets nothing: one signature, one transfer, to another vendor."""
    record = finishes(world, run, observed, [SECOND], **notes)
    assert_signed(world, run, 1)
    assert len(record.received) == 1


def gets_its_work(world: World, run: Run, observed: Observed, **notes: object) -> None:
    """The vendor heals and delivers what was paid for, on the signature that it had."""
    world.market.heal()
    finishes(world, run, observed, [FIRST], **notes)
    assert_signed(world, run, 1)


def assert_unpaid(world: World, run: Run, amount_held: int) -> None:
    assert world.market.received_headers(world.ports.wallet.address) == []
    assert stored_headers(world, run) == []
    assert world.transfers() == ()
    assert world.reads.recorded(run.run_id).held == amount_held


def assert_signed(world: World, run: Run, count: int) -> None:
    """Check that `count` headers exist, the same stored and received, each for a job's vendor, amount and nonce."""
    headers = set(stored_headers(world, run))
    assert headers == set(world.market.received_headers(world.ports.wallet.address))
    assert len(headers) == count
    run = world.store.load(run.run_id)
    payees = {vendor.vendor_id: vendor.pay_to for vendor in world.market.vendors}
    terms = [authorized(header) for header in headers]
    assert sorted(
        (authorization["from"], authorization["to"], authorization["value"], authorization["nonce"])
        for authorization in terms
    ) == sorted(
        (world.ports.wallet.address, payees[job.quote.vendor_id], str(job.quote.amount), job.authorization.nonce)
        for job in run.jobs
        if not isinstance(job, Reserved) and job.authorization
    )


def assert_moved(world: World, run: Run) -> None:
    """Check that the transfers on chain are the settled jobs', to the vendors' recorded addresses, at their quotes."""
    payees = {vendor.vendor_id: vendor.pay_to.lower() for vendor in world.market.vendors}
    settled = [job for job in world.store.load(run.run_id).jobs if isinstance(job, Settled)]
    assert sorted((transfer.payee, transfer.amount) for transfer in world.transfers()) == sorted(
        (payees[job.quote.vendor_id], job.quote.amount) for job in settled
    )


def held_amount(world: World, run: Run) -> int:
    """The amount that the run's record in the database holds."""
    return world.reads.recorded(run.run_id).held


def relay(world: World, header: str) -> bool:
    """Put the payment on chain, as any account that sees its signature can. Whether the token accepted it."""
    return is_accepted(world, settlement_call(header), world.market.rpc("eth_accounts")[0])


def settlement_call(header: str) -> str:
    """The call of the token that settles this payment, as hex."""
    terms = authorized(header)
    signature = bytes.fromhex(signature_of(header)[2:])
    values = (
        *(terms["from"], terms["to"], int(terms["value"]), int(terms["validAfter"]), int(terms["validBefore"])),
        *(bytes.fromhex(terms["nonce"][2:]), signature[64], signature[:32], signature[32:64]),
    )
    kinds = RELAY[RELAY.index("(") + 1 : -1].split(",")
    return "0x" + (keccak(RELAY.encode())[:4] + encode(kinds, values)).hex()


def is_accepted(world: World, data: str, sender: str) -> bool:
    """Send to the token from an account that is unlocked on Anvil. Whether it was accepted, and not reverted."""
    receipt = world.market.mined(world.market.environment["X402_ASSET"], data, sender)
    return bool(receipt["status"] == "0x1")


def expires(world: World, run: Run) -> Run:
    """The payment expires: not by the agent's clock but by the chain's, and then no account can take it any more."""
    amount = run.jobs[0].quote.amount
    world.market.clock.ahead_s += 86_400
    assert held_amount(world, world.tick(run)) == amount
    world.market.clock.ahead_s -= 86_400
    world.market.pass_time(LIFE_S)
    return run
