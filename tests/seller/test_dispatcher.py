"""The dispatcher: starts in order, notes ends, decides what was left, keeps and forgets, and drains."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from x402.schemas import PaymentRequirements

from seller.dispatcher import LOOK_S, SECRETS_WAIT_S, TIDY_S, UNDECIDED_S
from seller.home import DRAIN
from seller.payments.payment import Payment
from seller.payments.settlement import Dead, Open, Paid
from seller.payments.till import Unknown
from seller.records import LOOKS
from seller.report.overview import read_overview
from seller.runners import RunnerError
from seller.shop import Terms
from seller.work.workshop import SECRETS_LOST
from tests.support.fake_runner import FakeRunner
from tests.support.fake_till import TX, FakeTill, payment_header
from tests.support.mock_buyer import header_json, new_key
from tests.support.seller_desk import ALICE, Desk, DeskClock, open_desk, order

ROOM = Terms(queue=9, per_payer=9)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path, terms=ROOM) as desk:
        yield desk


def running(desk: Desk) -> list[str]:
    return [job.job_id for job in desk.shop.database.jobs_with_work("started")]


def job(desk: Desk, job_id: str) -> tuple[str, int | None, str]:
    """The start, the exit code and the failure of a job, as the database has them."""
    kept = desk.shop.database.job("box", job_id)
    assert kept
    return kept.start, kept.exit_code, kept.failure


def test_jobs_start_in_the_order_in_which_they_were_paid_for(desk: Desk) -> None:
    jobs = [desk.bought(str(number)) for number in range(3)]
    others = [desk.bought(f"t{number}", gpu="T4") for number in range(3)]
    assert desk.status(jobs[0])["phase"] == "queued"
    desk.step()
    assert running(desk) == [jobs[0], *others[:2]], "one A100, and two T4"
    assert desk.status(jobs[1])["phase"] == "queued"
    desk.step()
    assert len(desk.runner.orders) == 3, "nothing is started twice"
    desk.runner.finish(jobs[0])
    desk.runner.finish(others[1], exit_code=3)
    desk.step()
    assert running(desk) == [jobs[1], others[0], others[2]]
    assert (job(desk, jobs[0]), job(desk, others[1])) == (("ended", 0, ""), ("ended", 3, ""))


def test_a_queue_has_its_own_state_by_which_it_is_seen(desk: Desk) -> None:
    jobs = [desk.bought(str(number)) for number in range(3)]
    desk.step()
    desk.runner.finish(jobs[0], exit_code=None, reason="the paid time has ended", at=desk.clock.at)
    assert desk.status(jobs[0])["errorMessage"] == "the paid time has ended", "before it is noted"
    overview = read_overview(desk.shop.database, desk.shop.vendors, desk.folder)
    assert overview.jobs == {"queued": 2, "running": 1, "completed": 0, "failed": 0}
    desk.step()
    overview = read_overview(desk.shop.database, desk.shop.vendors, desk.folder)
    assert overview.jobs == {"queued": 1, "running": 1, "completed": 0, "failed": 1}


def test_a_job_whose_secrets_were_lost_blocks_no_other(tmp_path: Path) -> None:
    with open_desk(tmp_path, terms=ROOM) as desk:
        header = payment_header(desk.submit(order("lost", secrets=["TOKEN"])).json())
        key = new_key()
        answer = desk.submit(order("lost", secrets=["TOKEN"]), header, key, secrets={"TOKEN": "hf_a"})
        lost, later = answer.json()["vendorJobId"], desk.bought("later")
        clock, runner = desk.clock, desk.runner
    with open_desk(tmp_path, terms=ROOM, clock=clock, runner=runner) as desk:
        desk.step()
        assert running(desk) == [later], "what waits for its secrets takes no slot"
        assert desk.http.get("/job-status", params={"vendorJobId": later}).status_code == 200
        desk.step(SECRETS_WAIT_S - 1)
        assert job(desk, lost)[0] == "waiting"
        desk.runner.finish(later)
        desk.step(1)
        assert job(desk, lost) == ("failed", None, SECRETS_LOST)
        assert desk.status(lost)["errorMessage"] == SECRETS_LOST
        again = desk.submit(order("lost", secrets=["TOKEN"]), header, key, secrets={"TOKEN": "hf_a"})
        assert again.json()["vendorJobId"] == lost, "it is not sold anew"
        assert len(desk.runner.orders) == 1


def test_secrets_that_are_sent_again_start_the_job(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        header, key = payment_header(desk.submit(order("s", secrets=["TOKEN"])).json()), new_key()
        first = desk.submit(order("s", secrets=["TOKEN"]), header, key, secrets={"TOKEN": "hf_a"})
        clock = desk.clock
    with open_desk(tmp_path, clock=clock) as desk:
        desk.step(100)
        assert desk.runner.orders == []
        again = desk.submit(order("s", secrets=["TOKEN"]), header, key, secrets={"TOKEN": "hf_a"})
        assert again.content == first.content
        desk.step()
        assert [started.secrets for started in desk.runner.orders] == [{"TOKEN": "hf_a"}]


@pytest.mark.parametrize("error", [RunnerError("no room"), OSError("disk"), ValueError("embedded null byte")])
def test_a_job_that_cannot_start_blocks_no_other(desk: Desk, error: Exception) -> None:
    jobs = [desk.bought(str(number)) for number in range(2)]
    desk.runner.broken[jobs[0]] = error
    desk.step()
    assert running(desk) == [jobs[1]]
    if not isinstance(error, ValueError):
        start, exit_code, failure = job(desk, jobs[0])
        assert (start, exit_code) == ("failed", None)
        assert failure.startswith("it could not be started: ")
        assert desk.status(jobs[0])["status"] == "failed"


def test_files_are_forgotten_and_the_ledger_is_kept(tmp_path: Path) -> None:
    with open_desk(tmp_path, terms=ROOM, keep_s=1000) as desk:
        good, bad = desk.bought("good"), desk.bought("bad", gpu="T4")
        desk.step()
        assert desk.status(good)["logs"] == [f"a line of {good}"]
        desk.runner.finish(good, at=desk.clock.at)
        desk.runner.finish(bad, exit_code=2, at=desk.clock.at)
        desk.step(999)
        desk.step(TIDY_S)
        assert sorted(desk.runner.forgotten) == sorted([good, bad])
        for job_id, state, code in ((good, "completed", 0), (bad, "failed", 2)):
            status = desk.status(job_id)
            assert (status["status"], status["exitCode"], status["files"], status["logs"]) == (state, code, [], [])
            gone = desk.http.get("/job-file", params={"vendorJobId": job_id, "path": "out"})
            assert (gone.status_code, gone.json()["error"]) == (404, "file_unknown")
            cancelled = desk.http.post("/job-cancel", json={"vendorJobId": job_id})
            assert cancelled.json()["status"] == state
        assert [sale["start"] for sale in desk.shop.database.sales()] == ["forgotten", "forgotten"]
        overview = read_overview(desk.shop.database, desk.shop.vendors, desk.folder)
        assert (overview.jobs["completed"], overview.jobs["failed"], overview.sales) == (1, 1, 2)


def test_files_that_cannot_be_deleted_are_tried_again(tmp_path: Path) -> None:
    with open_desk(tmp_path, keep_s=1000) as desk:
        job_id = desk.bought()
        desk.step()
        desk.runner.finish(job_id, at=desk.clock.at)
        desk.runner.stuck = True
        desk.step(2000)
        assert job(desk, job_id)[0] == "ended"
        desk.runner.stuck = False
        desk.step(TIDY_S)
        assert job(desk, job_id)[0] == "forgotten"


def test_files_that_are_gone_already_are_noted(tmp_path: Path) -> None:
    with open_desk(tmp_path, keep_s=1000) as desk:
        job_id = desk.bought()
        desk.step()
        desk.runner.finish(job_id, at=desk.clock.at)
        desk.step()
        del desk.runner.states[job_id]
        desk.step(2000)
        assert job(desk, job_id)[0] == "forgotten"


def test_quotes_that_nobody_bought_are_dropped(tmp_path: Path) -> None:
    with open_desk(tmp_path, keep_s=3600) as desk:
        unsold = desk.quote("unsold").json()["vendorJobTemplateId"]
        job_id = desk.bought("sold")
        desk.step(3600 + 601)
        desk.step(TIDY_S)
        database = desk.shop.database
        assert database.quote(unsold) is None
        [sale] = database.sales()
        assert sale["job_id"] == job_id
        assert [database.quote(purchase.quote_id) is not None for purchase in database.purchases()] == [True]


def test_a_full_disk_sells_nothing_until_there_is_room(tmp_path: Path) -> None:
    with open_desk(tmp_path, disk=2_000_000) as desk:
        desk.step()
        header = payment_header(desk.submit(order()).json())
        (tmp_path / "big").write_bytes(b"x" * 3_000_000)
        desk.step(TIDY_S)
        for answer in (desk.quote(), desk.submit(order(), header, new_key())):
            assert (answer.status_code, answer.json()["error"]) == (503, "closing")
            assert "disk is full" in answer.json()["message"]
        assert desk.till.asked == []
        (tmp_path / "big").unlink()
        desk.step(TIDY_S)
        assert desk.submit(order(), header, new_key()).status_code == 200


@pytest.mark.safety("a seller whose account has no gas")
def test_nothing_is_sold_that_could_not_be_settled(desk: Desk, safety_note: Any) -> None:
    header = payment_header(desk.submit(order()).json())
    desk.till.no_gas = "0x51 has 0 wei for gas"
    desk.step()
    for answer in (desk.quote(), desk.submit(order()), desk.submit(order(), header, new_key())):
        assert (answer.status_code, answer.json()["error"]) == (503, "closing"), "no 402: nothing is signed in vain"
        assert "0x51" not in answer.text
    assert desk.till.asked == []
    desk.till.no_gas = ""
    desk.step(TIDY_S)
    assert desk.submit(order(), header, new_key()).status_code == 200
    safety_note("no quote, no 402 and no sale until there is gas: no buyer's money waits for its end")


@pytest.mark.safety("a seller's clock that is set back or ahead by hours")
def test_a_clock_that_is_set_back_holds_nothing_up(tmp_path: Path, safety_note: Any) -> None:
    till = FakeTill(outcome=Unknown("away"), verdict=Unknown("away"))
    with open_desk(tmp_path, till=till, terms=ROOM, disk=2_000_000) as desk:
        desk.step()
        desk.buy("left settling", payer=ALICE)
        till.outcome = Paid(TX)
        desk.bought("sold")
        purchases = desk.shop.database.purchases
        till.on_chain = {(purchase.payer, purchase.nonce) for purchase in purchases()}
        (tmp_path / "big").write_bytes(b"x" * 3_000_000)
        desk.step(-10 * 3600)
        assert [purchase.state for purchase in purchases()] == ["settled", "settled"], "decided by the chain"
        assert [purchase.looks for purchase in purchases()] == [LOOKS - 1, LOOKS - 1], "looked for again"
        assert desk.shop.closing.reason, "and the disk is looked at"
    safety_note("set back, it holds up no decision; set ahead, it deletes no files and fails no job before the chain's")


def test_a_clock_that_is_set_ahead_gives_up_nothing_that_was_paid_for(tmp_path: Path) -> None:
    clock, till = DeskClock(), FakeTill()
    with open_desk(tmp_path, terms=ROOM, keep_s=86_400, clock=clock, till=till) as desk:
        finished = desk.bought("finished")
        desk.step()
        desk.runner.finish(finished, at=clock.at)
        desk.step()
        header, key = payment_header(desk.submit(order("s", secrets=["TOKEN"])).json()), new_key()
        sale = desk.submit(order("s", secrets=["TOKEN"]), header, key, secrets={"TOKEN": "hf_a"})
        waiting = sale.json()["vendorJobId"]
        runner = desk.runner
    with open_desk(tmp_path, terms=ROOM, keep_s=86_400, clock=clock, till=till, runner=runner) as desk:
        till.chain_at = clock.at + 60
        desk.step(2 * 86_400)
        till.chain_at = None
        desk.step(TIDY_S)
        assert (job(desk, finished)[0], job(desk, waiting)[0]) == ("ended", "waiting")
        till.chain_at = clock.at
        desk.step(TIDY_S)
        till.chain_at = clock.at
        desk.step(TIDY_S)
        assert (job(desk, finished)[0], job(desk, waiting)[0]) == ("forgotten", "failed")


def test_a_seller_that_drains_does_what_was_paid_for(tmp_path: Path) -> None:
    """Nothing new is sold, what was paid for is done, and then it ends; unless it is to sell again."""
    with open_desk(tmp_path, terms=ROOM) as desk:
        jobs = [desk.bought(str(number)) for number in range(2)]
        (tmp_path / DRAIN).touch()
        desk.step()
        assert desk.quote().json()["error"] == "closing"
        (tmp_path / DRAIN).unlink()
        desk.step()
        assert desk.quote().status_code == 200, "it was told to sell again"
        (tmp_path / DRAIN).touch()
        for job_id in jobs:
            desk.step()
            assert desk.drained == []
            desk.runner.finish(job_id)
        desk.step()
        assert desk.drained == [True]
        assert {job(desk, job_id)[0] for job_id in jobs} == {"ended"}


def test_a_drain_waits_for_a_payment_that_is_settling(tmp_path: Path) -> None:
    till = FakeTill(outcome=Unknown("slow"))
    with open_desk(tmp_path, till=till) as desk:
        assert desk.buy().status_code == 503
        (tmp_path / DRAIN).touch()
        desk.step()
        assert desk.drained == []
        till.verdict = Dead("authorization expired")
        desk.step(UNDECIDED_S)
        assert desk.drained == [True]
        desk.step()
        assert desk.drained == [True], "and it ends once"


class DrainsMeanwhile(FakeTill):
    """A till at which the seller drains, and ends, while a payment is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def objection(self, payment: Payment, offer: PaymentRequirements) -> str | None:
        self.meanwhile()
        return super().objection(payment, offer)


@pytest.mark.safety("A draining seller ends while a payment is looked at: it is not settled for a job that never runs")
def test_nothing_is_sold_once_it_has_drained(tmp_path: Path) -> None:
    till = DrainsMeanwhile()
    with open_desk(tmp_path, till=till) as desk:

        def drain() -> None:
            (tmp_path / DRAIN).touch()
            desk.step()

        till.meanwhile = drain
        answer = desk.buy()
        assert desk.drained == [True]
        assert (answer.status_code, answer.json()["error"]) == (503, "busy")
        assert "the seller is closing" in answer.json()["message"]
        assert till.asked == []
        assert desk.shop.database.is_at_rest()


def test_a_purchase_that_was_left_settling_is_decided_by_the_chain_alone(tmp_path: Path) -> None:
    """Its buyer never comes back: paid it becomes a job, dead it is forgotten, and open it stays as it is."""
    till = FakeTill(outcome=Unknown("away"), verdict=Unknown("away"))
    with open_desk(tmp_path, till=till, terms=ROOM) as desk:
        for command in ("paid", "dead", "open"):
            assert desk.buy(command, payer=ALICE).status_code == 503
        paid, dead, still_open = desk.shop.database.settling()
        till.on_chain.add((paid.payer, paid.nonce))
        desk.step(UNDECIDED_S - 1)
        assert len(desk.shop.database.settling()) == 3, "its buyer may still be asking"
        asked = len(till.asked)
        desk.step(1)
        assert [purchase.key for purchase in desk.shop.database.settling()] == [dead.key, still_open.key]
        assert [started.command for started in desk.runner.orders] == ["paid"]
        till.verdict = Open()
        desk.step(60)
        assert len(desk.shop.database.settling()) == 2
        till.verdict = Dead("authorization expired")
        desk.step(60)
        assert desk.shop.database.settling() == []
        assert len(till.asked) == asked, "nothing was settled for it"
        assert desk.shop.database.totals()[0] == 1


@pytest.mark.safety("a reorganization that takes back the transfer of a job that a seller has sold")
def test_a_sale_whose_transfer_was_taken_back_is_settled_again_or_is_none(tmp_path: Path, safety_note: Any) -> None:
    with open_desk(tmp_path, terms=ROOM) as desk:
        answers = [desk.buy(command, payer=ALICE) for command in ("stays", "again", "gone")]
        asked = len(desk.till.asked)
        till, database = desk.till, desk.shop.database
        stays, again, gone = database.purchases()
        till.on_chain.remove((again.payer, again.nonce))
        till.outcome = Paid(other := "0x" + "8" * 64)
        desk.step(LOOK_S)
        assert [authorization.nonce for authorization in till.asked[asked:]] == [again.nonce], (
            "settled by the same payment"
        )
        till.on_chain.remove((gone.payer, gone.nonce))
        till.verdict = Dead("authorization expired")
        desk.step(LOOK_S)
        assert [sale.tx for sale in database.purchases()] == [stays.tx, other, gone.tx]
        assert database.totals()[:2] == (2, 2 * stays.amount), "what was not received is no income"
        assert len(database.sales()) == 2
        params, header = order("again"), again.header
        repeated = desk.submit(params, header, again.key)
        assert repeated.json() == answers[1].json()
        assert header_json(repeated.headers["PAYMENT-RESPONSE"])["transaction"] == other
        assert database.to_look_at(), "and the second transfer is looked for as well"
        desk.step(LOOK_S)
        desk.step(LOOK_S)
        assert database.to_look_at() == []
    safety_note("settled again with the same payment while it is valid; else not counted as received, and logged")


def test_a_chain_that_is_away_says_nothing_of_a_sale(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        desk.bought()
        desk.till.on_chain.clear()
        desk.till.verdict = Unknown("away")
        desk.step(LOOK_S)
        assert desk.shop.database.totals()[0] == 1
        assert len(desk.shop.database.to_look_at()) == 1


def test_what_ran_when_it_was_killed_is_adopted(tmp_path: Path) -> None:
    runner = FakeRunner()
    with open_desk(tmp_path, runner=runner, terms=ROOM) as desk:
        jobs = [desk.bought(str(number)) for number in range(2)]
        desk.step()
    runner.finish(jobs[0])
    with open_desk(tmp_path, runner=runner, terms=ROOM) as desk:
        desk.step()
        assert job(desk, jobs[0])[0] == "ended"
        assert running(desk) == [jobs[1]]
        assert len(runner.orders) == 2
