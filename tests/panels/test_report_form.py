"""The form of a report: what it shows, what it saves, and what it says of a value that cannot be."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gpuagent import settings
from gpuagent.panels import report_form
from gpuagent.panels.report_form import ReportForm
from gpuagent.reports.request import ReportRequest
from tests.support.world import World


def play(world: World, scene: Callable[[ReportForm], Awaitable[None]]) -> None:
    """Plays a scene at a form on the world's database, which has one run that was paid for."""
    world.market.outcomes("gpu_vendor_1", "0")
    world.finish(world.start(budget=5))

    async def body() -> None:
        form = ReportForm(ReportRequest(period="all"), settings.read(world.environment))
        await scene(form)

    asyncio.run(body())


async def click(form: ReportForm, button: Any) -> str:
    button.click()
    await form.settled()
    return form.message.text


def test_a_report_is_shown_and_saved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(form: ReportForm) -> None:
        assert "everything until" in await click(form, form.show_button)
        assert form.report is not None
        for text in ("Headlines", "Cost of a successful GPU hour", "gpu_vendor_2"):
            assert text in form.pages.value
        link = await click(form, form.file_buttons["journal"])
        ((content, name),) = re.findall(r'base64,([^"]+)" download="([^"]+)"', link)
        assert (name, base64.b64decode(content)[:14]) == ("journal.csv", b"transactionId,")
        monkeypatch.setattr(report_form, "LINK_MAX", 10)
        message = await click(form, form.file_buttons["html"])
        assert "gpuagent report --period all --format html --out report.html" in message
        asked = {"user": "local", "vendor": "gpu_vendor_1", "currency": "EUR", "rate": "0.9"}
        for name, value in {**asked, "by": "gpu"}.items():
            form.fields[name].widget.value = value
        rest = f"--period all --user {asked['user']} --vendor gpu_vendor_1"
        message = await click(form, form.file_buttons["html"])
        assert f"gpuagent report {rest} --currency EUR --rate 0.9 --by gpu --format html" in message
        assert f"gpuagent report {rest} --format focus" in await click(form, form.file_buttons["focus"])
        await click(form, form.show_button)
        assert "Spend by GPU type per" in form.pages.value

    play(world, scene)


def test_what_cannot_be_is_said_beside_its_field_and_reads_nothing(world: World) -> None:
    async def scene(form: ReportForm) -> None:
        for name, value, words in (
            ("period", "yesterday", "2026-Q4"),
            ("rate", "0.9", "needs both its code and its rate"),
            ("user", "stranger", "no run of user"),
        ):
            before = form.fields[name].widget.value
            form.fields[name].widget.value = value
            message = await click(form, form.show_button)
            assert words in message + form.fields[name].note
            assert form.report is None
            assert not form.show_button.disabled
            form.fields[name].widget.value = before

    play(world, scene)
