"""Alerts beside a fleet's ticks."""

from threading import Event

import pytest

from gpuagent.fleet.alerting import sending


def test_it_sends_beside_the_block_and_once_more_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    again = Event()

    def send() -> None:
        calls.append("sent")
        if len(calls) == 1:
            raise ZeroDivisionError
        again.set()

    with sending(send, every_s=0.0):
        assert again.wait(60), "a bug ended it"
    count = len(calls)
    assert "a bug: alerts were not sent, and are tried again" in caplog.text
    with sending(send, every_s=3600.0):
        assert len(calls) == count
    assert len(calls) == count + 1, "what the last ticks brought about is not sent"
