"""Channels by apprise against a real HTTP and a real SMTP server on this machine."""

import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest

from gpuagent.adapters.alerts import apprise_channels
from gpuagent.adapters.alerts.apprise_channels import AppriseMessenger
from gpuagent.core.alerts import Message
from gpuagent.errors import ConfigError
from tests.support.scripted_server import ScriptedServer
from tests.support.smtp_server import smtp_server

MESSAGE = Message("gpuagent: 1.40 USD waits", "Run <b>1</b> & more\n\nMessage abc", "abc")
SECRET = "hook-secret-0123456789"


def hook(server: ScriptedServer, path: str = "hook", query: str = "") -> str:
    return f"json://127.0.0.1:{server.server.server_port}/{path}?+X-Token={SECRET}{query}"


def test_a_hook_gets_the_message_with_its_id(scripted_server: ScriptedServer) -> None:
    scripted_server.respond_with({})
    assert AppriseMessenger({"ops": hook(scripted_server)}).send("ops", MESSAGE) == ""
    ((path, body),) = scripted_server.requests
    received = json.loads(body)
    assert (path, received["title"], received["message"]) == ("/hook", MESSAGE.title, MESSAGE.text)
    assert scripted_server.request_headers["Idempotency-Key"] == "abc"
    assert scripted_server.request_headers["X-Token"] == SECRET


def test_a_mail_is_plain_text_with_the_id(capsys: pytest.CaptureFixture[str]) -> None:
    with smtp_server() as server:
        address = f"mailto://127.0.0.1:{server.port}?mode=insecure&smtp=127.0.0.1&from=a@x.example&to=ops@y.example"
        messenger = AppriseMessenger({"mail": address})
        assert messenger.send("mail", MESSAGE) == ""
        (mail,) = server.mails
        assert (mail["Subject"], mail["Idempotency-Key"]) == (MESSAGE.title, "abc")
        assert mail.get_content_type() == "text/plain"
        assert "Run <b>1</b> & more" in mail.get_content()
        server.refusal = "554 not from you"
        assert messenger.send("mail", MESSAGE) == "it was not reached, or did not take the message"


def test_what_fails_is_said_without_an_address(
    scripted_server: ScriptedServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does a redirect lead the message and its secrets to another server."""
    messenger = AppriseMessenger({"ops": hook(scripted_server), "gone": f"json://127.0.0.1:1/{SECRET}"})
    with caplog.at_level(logging.DEBUG):
        scripted_server.respond_with({"why": SECRET}, 500)
        problems = [messenger.send("ops", MESSAGE), messenger.send("gone", MESSAGE)]
        scripted_server.respond_with({}, 307, {"Location": "/elsewhere"})
        problems.append(messenger.send("ops", MESSAGE))
    assert problems == ["it answered 500", "it was not reached, or did not take the message", "it answered 307"]
    assert [path for path, _ in scripted_server.requests] == ["/hook"]
    shown = [*problems, caplog.text, *capsys.readouterr(), repr(messenger), repr(MESSAGE)]
    assert not [text for text in shown if SECRET in text]


def test_a_silent_server_is_not_waited_for_long() -> None:

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert AppriseMessenger({"ops": f"json://127.0.0.1:{port}/?rto=0.2"}).send("ops", MESSAGE)
        assert time.monotonic() - began < 30


def test_an_address_that_apprise_does_not_know_is_named_by_number_and_name() -> None:
    for address in (f"nothing://{SECRET}", f"json://?{SECRET}"):
        with pytest.raises(ConfigError, match="address of entry 2, chat: write a URL") as refused:
            AppriseMessenger({"ops": "json://127.0.0.1/", "chat": address})
        assert SECRET not in str(refused.value)


def test_a_channel_that_answers_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the last one never: other channels wait behind it, and ticks that send."""
    monkeypatch.setattr(apprise_channels, "SEND_S", 0.3)
    over = Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(2000):
                connection.sendall(b" ")
                if over.wait(0.05):
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(drip, listener)
        started = time.monotonic()
        problem = AppriseMessenger({"ops": f"json://127.0.0.1:{listener.getsockname()[1]}/"}).send("ops", MESSAGE)
        took_s = time.monotonic() - started
        over.set()
    assert (problem, took_s < 60) == ("it was not done with the message after 0.3 s", True)
