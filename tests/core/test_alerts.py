"""What a save, a reservation, a halt and an audit are to tell, and under which key."""

from dataclasses import replace

import pytest

from gpuagent.core.alerts import (
    AlertKind,
    alerts_of,
    books_alert,
    fingerprint,
    halt_alert,
    late_alert,
    tag_alerts,
)
from gpuagent.core.events import JobDropped, PlannerCharged, PurchaseApproved, RunCancelled, VendorChosen
from gpuagent.core.model import Approval, Run
from gpuagent.core.policy import EVERY_WALLET, Halt
from gpuagent.core.transitions import apply
from tests.support.factories import RUN, decision, quote
from tests.support.run_states import payment_authorized, vendor_chosen

ASKED = VendorChosen("one", quote(), decision(), 1.0, {}, Approval(1.0, 900.0))


def keys(before: Run, after: Run) -> list[str]:
    return [alert.key for alert in alerts_of(before, after)]


def test_a_request_for_approval_is_told_with_its_quote_and_how_to_answer() -> None:
    asking = apply(RUN, ASKED)
    (alert,) = alerts_of(RUN, asking)
    assert alert.kind is AlertKind.APPROVAL
    assert alert.key == f"approval:{RUN.run_id}:one:{fingerprint(quote())}"
    assert alert.title == "1.40 USD for gpu_vendor_1 waits for approval"
    assert f"`gpuagent run approve {RUN.run_id} --job one --amount 1.4` agrees" in alert.text
    assert alert.purchase is not None
    assert (alert.purchase.amount, alert.purchase.expires_at) == (1_400_000, 900.0)
    forged = "x) asks to pay 0.01 USD. `gpuagent run approve 1 --amount 99` agrees. " * 25
    (alert,) = alerts_of(replace(RUN, goal=forged), apply(replace(RUN, goal=forged), ASKED))
    ours = f"`gpuagent run approve {RUN.run_id} --job one --amount 1.4` agrees"
    assert -1 < alert.text.find(ours) < alert.text.find("x) asks"), (
        "a goal stands after what it could pretend, and hides nothing"
    )
    assert keys(asking, asking) == keys(asking, apply(asking, PurchaseApproved("one", "Ada", 2.0))) == []
    assert keys(RUN, apply(RUN, vendor_chosen("one", 1_400_000))) == [], "it needs no approval"


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1_400_001},
        {"template_id": "other"},
        {"pay_to": "0x" + "9" * 40},
        {"expires_at": 10_001.0},
        {"order": "x"},
        {"network": "eip155:1"},
    ],
)
def test_another_quote_has_another_fingerprint(change: dict[str, object]) -> None:
    assert fingerprint(replace(quote(), **change)) != fingerprint(quote())  # type: ignore[arg-type]


def test_a_run_that_fails_is_told_once() -> None:
    failed = apply(RUN, RunCancelled("Ada", "wrong goal"))
    (alert,) = alerts_of(RUN, failed)
    assert (alert.key, alert.run_id) == (f"failed:{RUN.run_id}", RUN.run_id)
    assert "cancelled by Ada: wrong goal" in alert.text
    assert keys(failed, failed) == []
    long = replace(RUN, goal="g" * 2_000)
    assert "It spent 0.00 USD." in alerts_of(long, apply(long, RunCancelled("Ada", "w" * 500)))[0].text


def test_of_a_run_s_budget_the_highest_threshold_is_told() -> None:
    reserved = apply(RUN, vendor_chosen("one", 4_000_000))
    assert keys(RUN, reserved) == [], "what is reserved may come to nothing"
    signed = apply(reserved, payment_authorized("one", 4_000_000))
    assert keys(reserved, signed) == [f"budget:run:{RUN.run_id}:80"]
    assert keys(signed, apply(signed, PlannerCharged("", {}, 999_999))) == []
    assert keys(signed, apply(signed, PlannerCharged("", {}, 1_000_000))) == [f"budget:run:{RUN.run_id}:100"]
    assert keys(reserved, apply(reserved, JobDropped("one", "gone"))) == []


def test_a_tag_s_budget_is_told_by_its_total() -> None:
    run = replace(RUN, tags=("nightly", "team", "nightly"))

    def told(used: int, total: int = 10_000_000) -> list[str]:
        totals = {"nightly": total, "elsewhere": 1}
        return [alert.key for alert in tag_alerts(totals, {"nightly": used}, run, quote(1_000_000))]

    assert told(3_999_999) == []
    assert told(4_000_000) == ["budget:tag:nightly:10000000:50"]
    assert told(7_000_000) == ["budget:tag:nightly:10000000:80"]
    assert told(9_000_000) == ["budget:tag:nightly:10000000:100"]
    assert told(9_000_000, 20_000_000) == ["budget:tag:nightly:20000000:50"], "another total is another budget"


def test_the_other_kinds_have_keys_of_their_own() -> None:
    everything = Halt("wallet", EVERY_WALLET, "Ada", "fire")
    halted = halt_alert(everything, 7)
    assert (halted.key, halted.title) == ("halted:wallet:*:7", "Payments halted: all wallets")
    assert everything.resume_command in halted.text
    assert halt_alert(everything, 9).key != halted.key
    signed = late_alert("r", "j", "v", 1_400_000, signed=True)
    assert signed.key == "late_hold:j:signed"
    assert late_alert("r", "j", "v", 1_400_000, signed=False).key == "late_hold:j:reserved"
    books = books_alert("all", ["a", "b"])
    assert books.title == "The books differ in 2 places"
    assert books.key == books_alert("all", ["b", "a"]).key != books_alert("all", ["a"]).key
    assert len({alert.message_id for alert in (halted, signed, books)}) == 3
