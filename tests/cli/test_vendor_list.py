"""Recorded vendors as users see them: how they are spoken to, and which are halted."""

from dataclasses import replace

from rich.console import Console

from gpuagent.core.policy import Halt
from gpuagent.render.vendors import halt_lines, vendors_table
from tests.support.factories import VENDOR


def test_a_halted_vendor_says_who_halted_it_when_why_and_what_ends_it() -> None:
    halts = {"prism": Halt("vendor", "prism", "gpuagent", "it wants 0x9 paid", 1_700_000_000.0)}
    console = Console(width=250, record=True)
    console.print(vendors_table([VENDOR, replace(VENDOR, vendor_id="prism", protocol="prism")], halts))
    console.print(*halt_lines(halts.values()), *halt_lines([Halt("vendor", "old", "Ada", "slow")]))
    head, first, second, *lines = console.export_text().splitlines()
    assert "protocol" in head
    assert ("gpuagent/1" in first, "halted" in first) == (True, False)
    assert ("prism" in second, "halted" in second) == (True, True)
    text = " ".join("\n".join(lines).split())
    assert "vendor prism is halted by gpuagent at 2023-11-14 22:13: it wants 0x9 paid." in text
    assert "`gpuagent policy resume vendor prism --why 'what has changed'`" in text
    assert "vendor old is halted by Ada: slow." in text
