"""Every alert reaches every channel once, whoever sends and wherever a sender is killed."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from gpuagent.adapters.alerts.apprise_channels import AppriseMessenger
from gpuagent.adapters.mongo.outbox import CLAIM_S, FRESH_S, RETRY_S, MongoOutbox
from gpuagent.alerts import sender
from gpuagent.alerts.delivery import LinkSettings
from gpuagent.alerts.sender import AGAIN, OVER, send_due
from gpuagent.core.alerts import Alert, AlertKind, Claimed, Message, Purchase
from gpuagent.errors import BadInput
from tests.conftest import SafetyNote
from tests.support.alerts import LINKS, KeptMessages, TimedOutbox, delivery, failed_alert
from tests.support.kill_points import killed_at
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World


@pytest.fixture
def outbox(world: World) -> TimedOutbox:
    outbox = TimedOutbox(world)
    for channel in ("ops", "chat"):
        outbox.join(channel)
    return outbox


@pytest.mark.safety("a sender of alerts that is killed before each of its lines, and sends again")
def test_each_alert_arrives_wherever_a_sender_is_killed(
    outbox: TimedOutbox, scripted_server: ScriptedServer, safety_note: SafetyNote
) -> None:
    """A repeat comes from between the server's taking and our mark alone: it has the same id, and says what it is."""
    scripted_server.respond_with({})
    messenger = AppriseMessenger({"ops": f"json://127.0.0.1:{scripted_server.server.server_port}/"})
    settings, numbers, kills, repeats = delivery("ops"), count(), 0, 0
    for kind in (sender._send, MongoOutbox, AppriseMessenger):
        for number in count():
            alert = failed_alert(next(numbers))
            outbox.put(alert)
            killed = killed_at(number, kind, lambda: send_due(outbox, messenger, settings))
            outbox.ahead_s += CLAIM_S + 1
            send_due(outbox, messenger, settings)
            sent = [json.loads(body)["message"] for _, body in scripted_server.requests]
            scripted_server.requests.clear()
            assert sent, "it never came"
            assert all(alert.message_id in text for text in sent), "an earlier one came again"
            assert [AGAIN in text for text in sent[1:]] == [True] * (len(sent) - 1), "a repeat that does not say so"
            assert len(sent) <= 2
            repeats += len(sent) - 1
            if not killed:
                break
            kills += 1
    assert kills > 60
    assert 0 < repeats < 30
    assert send_due(outbox, messenger, settings).sent.total() == 0
    safety_note(f"{kills} kills: each alert came, {repeats} of them twice, with the same id and with words that say so")


def test_senders_at_once_share_the_alerts(world: World, outbox: TimedOutbox) -> None:
    alerts, messages, settings = [failed_alert(number) for number in range(12)], KeptMessages(), delivery("ops", "chat")
    outbox.put(*alerts)
    outbox.put(*alerts)  # again, by a replay
    with ThreadPoolExecutor(4) as pool:
        reports = [pool.submit(send_due, outbox, messages, settings) for _ in range(4)]
        assert sum(report.result().sent.total() for report in reports) == 24
    expected = {(channel, alert.message_id) for channel in ("ops", "chat") for alert in alerts}
    received = [(channel, message.message_id) for channel, message in messages.received]
    assert sorted(received) == sorted(expected)


def test_a_channel_that_fails_is_tried_again_later_each_time_and_holds_up_no_other(outbox: TimedOutbox) -> None:
    messages, settings = KeptMessages(problem={"ops": "it answered 500"}), delivery("ops", "chat")
    outbox.put(failed_alert(1))
    report = send_due(outbox, messages, settings)
    assert (report.problems, dict(report.sent)) == ({"ops": "it answered 500"}, {"chat": 1})
    for pause_s in (RETRY_S, 2 * RETRY_S, 4 * RETRY_S):
        outbox.ahead_s += pause_s / 2
        assert not send_due(outbox, messages, settings).problems, "too early"
        outbox.ahead_s += pause_s / 2 + 1
        assert send_due(outbox, messages, settings).problems
    (document,) = outbox.newest(5)
    assert document["deliveries"]["ops"]["attempts"] == 4
    messages.problem.clear()
    outbox.ahead_s += 3_600
    assert send_due(outbox, messages, settings).sent == {"ops": 1}
    assert AGAIN not in messages.received[-1][1].text, "the channel had said no"


def test_alerts_that_a_channel_never_takes_do_not_hold_up_those_that_it_takes(outbox: TimedOutbox) -> None:
    """A channel may refuse a text for ever, and each call ends at a refusal: the refused wait behind those untried."""
    refused = [failed_alert(number) for number in range(5)]
    outbox.put(*refused)
    messages = RefusingMessages({alert.message_id for alert in refused})
    for _ in refused:
        send_due(outbox, messages, delivery("ops"))
    outbox.put(failed_alert(9))
    outbox.ahead_s += 3_601  # all that were refused are due again
    assert send_due(outbox, messages, delivery("ops")).sent == {"ops": 1}


class RefusingMessages(KeptMessages):
    """A channel that refuses the messages of these ids."""

    def __init__(self, message_ids: set[str]) -> None:
        super().__init__()
        self._refused = message_ids

    def send(self, channel: str, message: Message) -> str:
        return "it answered 400" if message.message_id in self._refused else super().send(channel, message)


def test_a_new_channel_gets_nothing_old_and_nothing_is_sent_for_ever(outbox: TimedOutbox) -> None:
    messages = KeptMessages()
    outbox.put(failed_alert(1))
    outbox.ahead_s += 60
    assert send_due(outbox, messages, delivery("later")).sent.total() == 0
    outbox.ahead_s += FRESH_S
    assert send_due(outbox, messages, delivery("ops")).sent.total() == 0
    with pytest.raises(BadInput, match="no name of a channel"):
        outbox.join("a.$b")


def test_quiet_hours_hold_all_but_approvals_and_kinds_can_be_chosen(
    outbox: TimedOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = KeptMessages()
    outbox.put(failed_alert(1), _asks(outbox.now() + 900))
    whole_day = {"ALERTS_QUIET": "00:00-23:59 UTC"}
    quiet = delivery("ops", "chat", **whole_day)
    monkeypatch.setattr(type(quiet.quiet), "_is_quiet", lambda *_: True)
    waits = delivery("chat", **whole_day, ALERTS_QUIET_APPROVALS="wait")
    assert send_due(outbox, messages, delivery("ops", **whole_day)).sent == {"ops": 1}
    assert send_due(outbox, messages, waits).sent.total() == 0
    monkeypatch.undo()
    assert send_due(outbox, messages, delivery("ops")).sent == {"ops": 1}
    assert send_due(outbox, messages, delivery("chat", ALERTS_KINDS="failed,halted")).sent == {"chat": 1}


def test_only_who_may_approve_gets_a_link_and_what_has_ended_is_not_sent(outbox: TimedOutbox) -> None:
    messages, settings = KeptMessages(), delivery("ops", "chat", **LINKS)
    outbox.put(_asks(outbox.now() + 900))
    send_due(outbox, messages, settings)
    assert {channel: "https://agent.example/approval?t=" in message.text for channel, message in messages.received} == {
        "ops": True,
        "chat": False,
    }
    assert "approval?t=" not in repr(messages.received), "a link is a secret"
    outbox.put(_asks(outbox.now() - 1, "late"))
    send_due(outbox, messages, settings)
    assert len(messages.received) == 2
    skipped: dict[str, Any] = outbox.newest(5)[0]["deliveries"]["ops"]
    assert (skipped["state"], skipped["problem"]) == ("skipped", OVER)


def _asks(expires_at: float, job_id: str = "j") -> Alert:
    purchase = Purchase("1" * 24, job_id, 1_400_000, "q" * 32, expires_at)
    return Alert(f"approval:{job_id}", AlertKind.APPROVAL, "1.40 USD waits", "It asks.", "1" * 24, purchase)


def test_the_only_link_of_a_message_is_the_one_to_answer_by() -> None:
    """A goal or a vendor's words could lead an approver to another's page."""
    alert = Alert(
        "failed:1", AlertKind.FAILED, "See https://evil.example/a", "Answer: http://evil.example/approval?t=1"
    )
    message = sender.message_of(Claimed(alert, "ops", "1", 1, False), delivery("ops"))
    assert "://" not in message.title + message.text
    bare = replace(alert, title="See www.evil.example", text="Or evil.example/approval?t=1, of 1.40 USD. Bye.")
    assert "1.40 USD. Bye." in sender.message_of(Claimed(bare, "ops", "1", 1, False), delivery("ops")).text
    message = sender.message_of(Claimed(bare, "ops", "1", 1, False), delivery("ops"))
    assert ".example" not in message.title + message.text, "mail and chat programs make links of bare names, too"
    purchase = Purchase("1" * 24, "2" * 24, 1_400_000, "3" * 32, 900.0)
    asking = Claimed(replace(alert, purchase=purchase), "ops", "1", 1, False)
    linked = replace(delivery("ops"), links=LinkSettings("https://agent.example", "s" * 40, {"ops": "Ada"}))
    assert sender.message_of(asking, linked).text.count("://") == 1
