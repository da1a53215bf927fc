"""Rows of a payment that is out: the vendor says something of it, or nothing, and only the chain is believed."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.work import Failed, Owed, Underway
from tests.support.attacks import (
    FIRST,
    HASTE,
    SECOND,
    Observed,
    assert_signed,
    expires,
    finishes,
    gets_its_work,
    held_amount,
    pays_into_silence,
    pays_once,
    relay,
)
from tests.support.hasty_vendors import in_haste
from tests.support.world import World

TICKS = 20
PATIENCE_S = 2000
"""Longer than a paid vendor is waited for that is silent, or names no job."""


@pytest.mark.parametrize(
    ("fault", "settles"), [("reject_after_settle", True), ("always_402", False)], ids=["settled", "not settled"]
)
def test_19_402_after_payment(world: World, observed: Observed, fault: str, settles: bool) -> None:
    """Every payment is answered with a fresh 402, whether it was taken or not, for 20 ticks.

    Never signs again for that job: asks the chain, and sends the same bytes.
    """
    run = (pays_once if settles else pays_into_silence)(world, fault)
    for _ in range(TICKS):
        world.tick(run)
    assert_signed(world, run, 1)
    assert len(world.transfers()) == settles
    if settles:
        gets_its_work(world, run, observed, ticks=TICKS)
    else:
        expires(world, run)
        finishes(world, run, observed, [SECOND], ticks=TICKS)


def test_20_job_without_a_receipt(world: World, observed: Observed) -> None:
    """The job is given without a PAYMENT-RESPONSE.

    Takes the job's id, and books the payment by the chain alone.
    """
    run = pays_once(world, "no_receipt")
    assert isinstance(run.jobs[0], Settled)
    assert isinstance(run.jobs[0].work, Underway)
    gets_its_work(world, run, observed)


def test_21_bogus_receipt(world: World, observed: Observed) -> None:
    """The receipt names a transaction and a payer that have nothing to do with it.

    Books the transaction that the chain shows, not the one that the vendor names.
    """
    run = pays_once(world, "bogus_receipt")
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert [transfer.transaction for transfer in world.transfers()] == [job.settlement.transaction]
    gets_its_work(world, run, observed)


@pytest.mark.parametrize("fault", ["receipt_says_failed", "receipt_rejects_after_settle"])
def test_22_receipt_says_failed_though_paid(world: World, observed: Observed, fault: str) -> None:
    """The money moved; the receipt says failed and names no transaction, in a 200 or in a fresh 402.

    Takes the vendor's word for nothing: the chain says paid, so the amount is spent and never signed again.
    """
    gets_its_work(world, pays_once(world, fault), observed)


@pytest.mark.parametrize("heals", [True, False], ids=["heals", "stays broken"])
def test_23_settled_then_500(world: World, observed: Observed, heals: bool) -> None:
    """The money moved, and the answer is 500: for a while, or for ever.

    Counts it as spent; asks for the job by the same bytes; disputes it in the end, and buys elsewhere.
    """
    run = pays_once(world, "error_after_settle")
    if heals:
        gets_its_work(world, run, observed)
        return
    world.market.pass_time(PATIENCE_S)
    finishes(world, run, observed, [FIRST, SECOND])
    assert_disputed(world, run)
    assert_signed(world, run, 2)


@pytest.mark.parametrize("fault", ["hang_after_settle", "drop_after_settle", "hang_unsettled"])
def test_24_no_answer(world: World, observed: Observed, fault: str) -> None:
    """No answer comes, or the connection is closed: after the money moved, or without its moving.

    Treats it as unknown and asks the chain; keeps the amount held or spent, and sends the same bytes again.
    """
    with in_haste(world, FIRST, *HASTE[pays_once]) as hasty_world:
        if fault == "hang_unsettled":
            world.market.fault(FIRST, fault)
            gets_its_work(hasty_world, pays_into_silence(hasty_world, "never_settle"), observed)
        else:
            gets_its_work(hasty_world, pays_once(hasty_world, fault), observed)


@pytest.mark.parametrize("settles", [True, False], ids=["settles late", "never settles"])
def test_25_vendor_sits_on_the_authorization(world: World, observed: Observed, settles: bool) -> None:
    """The vendor keeps the signature: to settle it later, or never.

    Holds the amount until the chain itself has settled or outlived it; no clock of ours and no vendor ends that.
    """
    run = pays_into_silence(world, "settle_late" if settles else "never_settle")
    if settles:
        world.market.heal()
        world.market.control("POST", "settle")
        finishes(world, run, observed, [FIRST])
        return
    expires(world, run)
    finishes(world, run, observed, [SECOND])
    world.market.heal()
    assert world.market.control("POST", "settle")["paid"] == 0
    world.assert_balanced(run, transfers=1)


def test_26_third_party_settles_first(world: World, observed: Observed) -> None:
    """A third party who saw the signature puts it on chain before the vendor, which is left with a failed settlement.

    Asks the chain: paid is paid, whoever sent it; the vendor is held to its work on the same bytes.
    """
    run = pays_into_silence(world, "never_settle")
    (header,) = set(world.market.received_headers(world.ports.wallet.address))
    assert relay(world, header)
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    assert isinstance(run.jobs[0].work, Owed)
    assert (held_amount(world, run), len(world.transfers())) == (0, 1)
    gets_its_work(world, run, observed)


def test_27_one_signature_presented_for_other_jobs(world: World, observed: Observed) -> None:
    """The signature of one job is presented again: for other jobs, at another vendor, and straight to the token.

    Has bound it to one job by the nonce: the token takes it once, and the next job has a signature of its own.
    """
    run = pays_once(world, "no_receipt")
    header = world.market.received_headers(world.ports.wallet.address)[0]

    def present(number: int) -> int:
        return submit(world, (FIRST, SECOND)[number % 2], f"another-job-of-ours-{number}", header)

    with ThreadPoolExecutor(6) as pool:
        assert 200 not in set(pool.map(present, range(6)))
    assert not relay(world, header)
    assert len(world.transfers()) == 1
    assert_signed(world, run, 1)
    gets_its_work(world, run, observed)


@pytest.mark.parametrize("fault", ["foreign_job_id", "no_job_id"])
def test_28_job_id_that_is_not_ours(world: World, observed: Observed, fault: str) -> None:
    """Two purchases are given one and the same job id, which is another buyer's; or none at all.

    Keeps both payments as spent, lets one job have the id, disputes what is left without, and pays neither again.
    """
    runs = [pays_once(world, fault), world.tick(world.start())]
    assert [run.jobs[0].quote.vendor_id for run in runs] == [FIRST, FIRST]
    world.market.pass_time(PATIENCE_S)
    runs = [world.finish(run) for run in runs]
    assert_disputed(world, runs[1])
    job_ids = [job["vendorJobId"] for job in world.jobs() if "vendorJobId" in job]
    assert len(job_ids) == len(set(job_ids))
    evidence = observed(world, runs)
    assert (len(evidence.received), evidence.transfers, evidence.held) == (4, 4, 0)
    assert [[job.quote.vendor_id for job in run.jobs] for run in runs] == [[FIRST, SECOND]] * 2
    assert all(world.books(run).balanced and run.status is RunStatus.COMPLETED for run in runs)


@pytest.mark.parametrize("settles", [True, False], ids=["settled", "not settled"])
def test_29_conflict(world: World, observed: Observed, settles: bool) -> None:
    """The payment is answered 409, as if the key had come with another request: taken or not.

    Knows its bytes to be the same at every send, so it signs no other; the chain decides.
    """
    if settles:
        gets_its_work(world, pays_once(world, "conflict_after_settle"), observed)
        return
    run = expires(world, pays_into_silence(world, "conflict"))
    finishes(world, run, observed, [SECOND])
    assert_signed(world, run, 2)


def assert_disputed(world: World, run: Run) -> None:
    job = world.store.load(run.run_id).jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.reason.startswith("disputed: ")


def submit(world: World, vendor_id: str, key: str, header: str) -> int:
    """Present a payment for a fresh quote under another key, as any holder of the header may. The answer's status."""
    environment = world.market.environment
    headers = {"Authorization": f"Bearer {environment['GPU_VENDOR_SECRET']}", "x-vendor-id": vendor_id}
    with httpx.Client(base_url=environment["VENDOR_URL"], headers=headers, timeout=30) as client:
        quote = client.post("/quote", json={"jobType": "training", "gpuType": "A100", "maxHours": 1, "jobMetadata": {}})
        order = {"vendorJobTemplateId": quote.json()["vendorJobTemplateId"], "jobParams": {}}
        paid = {"Idempotency-Key": key, "PAYMENT-SIGNATURE": header}
        return client.post("/submit-job", json=order, headers=paid).status_code
