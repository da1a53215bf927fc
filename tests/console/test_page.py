"""The page's cell: a console, or in words why there is none; and who comes in by which token."""

import pytest

from gpuagent.api.tokens import read_tokens
from gpuagent.console import ending, page
from gpuagent.console.visitors import Visitors
from gpuagent.errors import ConfigError

TOKENS = {"GPUAGENT_API_TOKENS": "rita=read:reader-0123456789,ada=approve:approver-0123456789", "CRON_SECRET": "c" * 16}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(page, "display", lambda content: shown.append(getattr(content, "data", content)))
    return shown


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("set CHAIN_RPC_URL: <the node>"), "set CHAIN_RPC_URL: &lt;the node&gt;"),
        (ZeroDivisionError("oops"), "a bug: ZeroDivisionError: oops"),
    ],
)
def test_a_console_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, shown: list[str], error: Exception, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(page, "console", fail)
    page.page()
    assert len(shown) == 1
    assert words in shown[0]
    assert 'role="alert"' in shown[0]


def test_the_page_says_who_is_logged_in(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    monkeypatch.setattr(page, "console", lambda: "the console")
    page.page()
    assert shown.pop() == "the console"
    monkeypatch.setenv("CONSOLE_LOGIN", "a<b")
    monkeypatch.setenv("CONSOLE_RIGHTS", "read+approve")
    page.page()
    assert "Logged in as <b>a&lt;b</b>, who may approve and reject purchases" in shown[-2]


def test_a_page_with_a_console_looks_after_its_process(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    """One without shows what is wrong, and has no process to lose."""
    scripts: list[str] = []
    monkeypatch.setattr(ending, "display", lambda content, raw: scripts.append(content["application/javascript"]))
    monkeypatch.setattr(page, "console", lambda: "the console")
    page.page()
    assert shown == ["the console"]
    (script,) = scripts
    assert "The process of this page has ended" in script

    def fail() -> None:
        raise ConfigError("no chain")

    monkeypatch.setattr(page, "console", fail)
    page.page()
    assert len(scripts) == 1


def test_a_cookies_name_follows_from_the_token_and_a_cron_may_not_look() -> None:
    visitors = Visitors(read_tokens(TOKENS))
    name = visitors.name("reader-0123456789")
    caller = visitors.caller(name)
    assert caller is not None
    assert (caller.name, "reader" in name) == ("rita", False)
    assert [visitors.name(token) for token in ("c" * 16, "", "reader-012345678", "approver")] == [""] * 4
    assert visitors.caller("rita") is None
    assert {caller.name for caller in visitors.callers} == {"rita", "ada"}
