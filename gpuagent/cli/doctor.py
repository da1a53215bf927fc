"""`gpuagent doctor`: checks of the whole setup, before anything is spent."""

import os
from typing import TYPE_CHECKING

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, print_json

if TYPE_CHECKING:
    from rich.text import Text

    from gpuagent.doctor.checks import Check

COLOURS = {"ok": "green", "advice": "yellow", "failed": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check everything that can be checked without spending, and say what to fix. Exits with 1 if anything fails."""
    from gpuagent.doctor.checks import Status
    from gpuagent.doctor.examine import examine

    checks = []
    for check in examine(os.environ):
        checks.append(check)
        if not as_json:
            console().print(_line(check), soft_wrap=True)  # at once: a silent vendor takes a while
    failures = sum(check.status is Status.FAILED for check in checks)
    if as_json:
        print_json({"ok": not failures, "checks": [check.as_json() for check in checks]})
    else:
        typer.echo(f"{failures} of {len(checks)} checks failed" if failures else "ready")
    if failures:
        raise typer.Exit(EXIT_OTHER)


def _line(check: "Check") -> "Text":
    from rich.text import Text

    line = Text.assemble((f"{check.status:<7}", COLOURS[check.status]), (f"{check.name}: ", "bold"), check.detail)
    return line.append(f"\n        fix: {check.fix}", style="yellow") if check.fix else line
