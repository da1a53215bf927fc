"""What the page's one cell calls: the console, or in words why there is none."""

import os

from IPython.display import HTML, display

from gpuagent.console.ending import watch_ending
from gpuagent.core.rights import APPROVE, OPERATE
from gpuagent.errors import GpuAgentError
from gpuagent.panels import console
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.message import styled
from gpuagent.panels.kit.style import sheet
from gpuagent.session import page_rights

ABILITIES = {OPERATE: "start, tick and cancel runs", APPROVE: "approve and reject purchases"}


def page() -> None:
    """Show the console with the visitor's name above it. What keeps it from being shown is shown instead."""
    try:
        panel = console()
    except GpuAgentError as error:
        _show(_problem(str(error), "Mend that, then load this page again."))
    except Exception as error:  # noqa: BLE001  a bug: else a visitor would see nothing but that there was one
        _show(_problem(f"a bug: {type(error).__name__}: {error}", "Tell the operator of this page."))
    else:
        if line := _visitor():
            _show(line)
        watch_ending()
        display(panel)  # type: ignore[no-untyped-call]


def _visitor() -> Html | None:
    rights = page_rights(os.environ)
    if not rights.login:
        return None
    able = [ability for permission, ability in ABILITIES.items() if permission in rights.permissions] or ["look"]
    link = el("a", "Log out", href="/logout")
    return el("p", "Logged in as ", el("b", rights.login), f", who may {' and '.join(able)}. ", link, class_="faint")


def _problem(text: str, advice: str) -> Html:
    return el("div", el("b", "The console cannot be shown: "), text, el("br"), advice, class_="note bad", role="alert")


def _show(content: Html) -> None:
    display(HTML(join(sheet(), styled(content))))  # type: ignore[no-untyped-call]
